// Read by the sanitizers' runtime at the start. Vectors cross into a library that is built without
// them, whose growth they cannot see; fibers have stacks of their own, and one that is given up
// after a fault never returns what it holds.
extern "C" __attribute__((visibility("default"))) const char* __asan_default_options() {
  return "detect_container_overflow=0:detect_stack_use_after_return=0:detect_leaks=0";
}
