/** Prints the reference of the configuration; see reference.ts. */

import { configReference } from './reference.js'

process.stdout.write(configReference())
