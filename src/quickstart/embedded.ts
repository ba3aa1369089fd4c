/** The name of the embedded default where a folder is asked for (`model.dir: embedded`, `data.dir: embedded`), and where its model lies. */

import { fileURLToPath } from 'node:url'

export const embedded = 'embedded'

/** Beside this module, in the sources as in the build. */
export function embeddedModelFolder(): string {
  return fileURLToPath(new URL('./model', import.meta.url))
}
