/** Where the built addon lies: build/Release/reasonrec.node of the package. */
export const addonPath: string
/** The C++ files of native/sources.txt, relative to the package. */
export function nativeSources(): string[]
/** True when the addon is there and was built from the sources as they are now. */
export function addonIsFresh(): boolean
