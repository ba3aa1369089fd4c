/** An adapter as a PEFT folder: adapter_config.json and adapter_model.safetensors, in the type asked for. */

import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { Adapter, Model, peftConfig } from '../engine/index.js'
import type { Exported } from './exported.js'
import { bytesPerElement, type FloatType, fromFloat32 } from './floats.js'
import { intoFolder } from './staging.js'
import { writeTensors } from './tensor-file.js'
import { verifyExport } from './verify.js'

/**
 * `baseModel`: what base_model_name_or_path shall say.
 * @throws RR_OUTPUT_EXISTS, RR_WRITE_FAILED, RR_EXPORT_MISMATCH, and what opening throws
 */
export async function exportPeft(
  modelDir: string,
  adapterDir: string,
  out: string,
  dtype: FloatType,
  baseModel: string,
): Promise<Exported> {
  const model = await Model.open(modelDir)
  const adapter = await Adapter.load(model, adapterDir)
  return intoFolder(out, async (folder) => {
    const name = 'adapter_model.safetensors'
    const values = adapter.values()
    const layout = adapter.layout()
    const specs = layout.map((parameter) => ({
      name: parameter.name,
      dtype,
      shape: [parameter.rows, parameter.cols],
    }))
    const written = await writeTensors(path.join(folder, name), specs, (tensor, index) => {
      const { offset, rows, cols } = layout[index]!
      return fromFloat32(values.slice(offset, offset + rows * cols), dtype, tensor.name)
    })
    const config = `${JSON.stringify(peftConfig(adapter.config, baseModel), null, 2)}\n`
    writeFileSync(path.join(folder, 'adapter_config.json'), config)
    const exported = { model, adapter: await Adapter.load(model, folder) }
    const verified = await verifyExport(exported, { model, adapter }, dtype, 'adapter')
    return { kind: 'peft', dtype, files: [{ ...written, name }], verified, rounding: null }
  })
}

export const floatTypes = Object.keys(bytesPerElement) as readonly FloatType[]
