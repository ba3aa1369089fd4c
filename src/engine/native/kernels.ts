/** Kernels by name and the machine's ceilings, for comparisons: native/binding/kernel_calls.h, native/core/ceilings.h. */

export interface NativeKernelCall {
  /** Of engineInfo().isas, or "reference": plain loops in fp64. */
  readonly isa: string
  readonly kernel: string
  /** How packed weights are stored. */
  readonly storage: 'fp32' | 'bf16'
  /** How products with them are computed; fp32 where it is not said, bf16 only with bf16 storage. */
  readonly compute?: 'fp32' | 'bf16' | undefined
  readonly sizes: Readonly<Record<string, number>>
  readonly inputs: readonly Float32Array[]
  /** Runs that are timed together. */
  readonly repeats: number
}

export interface NativeKernelRun {
  readonly seconds: number
  /** Of all threads together. */
  readonly cpuSeconds: number
  readonly outputs: Float32Array[]
}

/** Per second, all threads together: bytes read from memory, and operations (a multiply-add is two); 0: no such instruction. */
export interface NativeCeilings {
  readonly read: number
  readonly fp32: number
  readonly bf16: number
  readonly int8: number
}
