/**
 * One DuckDB in memory for one piece of work: no extension is ever fetched, at most half a gigabyte. The package is
 * imported on first use, because it is heavy and many verbs, the embedded default among them, read no table.
 */

import type { DuckDBConnection } from '@duckdb/node-api'

export async function withDuckDb<T>(work: (connection: DuckDBConnection) => Promise<T>): Promise<T> {
  const { DuckDBInstance } = await import('@duckdb/node-api')
  const instance = await DuckDBInstance.create(':memory:', {
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    memory_limit: '512MB',
    threads: '2',
  })
  try {
    const connection = await instance.connect()
    try {
      return await work(connection)
    } finally {
      connection.closeSync()
    }
  } finally {
    instance.closeSync()
  }
}
