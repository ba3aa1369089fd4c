/**
 * Int32Array over a SharedArrayBuffer, shared with a job (native/core/job.h): [0] set to 1 to cancel,
 * [1] units done, [2] units in all, [3] tokens done.
 */
export type Control = Int32Array
