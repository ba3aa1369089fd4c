/** Inner loops read from a disassembly: the densest loop of each product, what it loads and what it spills. */

import { describe, expect, it } from 'vitest'
import { loopsOf } from '../../../bench/instructions/disassembly.js'

const text = `
0000000000000010 <void reasonrec::avx2_isa::gemm_micro<6, 1, reasonrec::avx2_isa::Plain<false> >(float const*, long)>:
      10:	vxorps %xmm0,%xmm0,%xmm0
      14:	vmovups (%rdx),%ymm1
      18:	vbroadcastss (%rdi,%rax,4),%ymm2
      1c:	vfmadd231ps %ymm1,%ymm2,%ymm4
      20:	vfmadd231ps 0x20(%rdx),%ymm2,%ymm5
      24:	vmovaps %ymm5,0x40(%rsp)
      28:	cmp    %rax,0x48(%rsp)
      2c:	jne    14 <void reasonrec::avx2_isa::gemm_micro<6, 1, reasonrec::avx2_isa::Plain<false> >(float const*)+0x4>
      30:	vmovups %ymm4,(%r8)
      34:	jmp    10 <void reasonrec::avx2_isa::gemm_micro<6, 1, reasonrec::avx2_isa::Plain<false> >(float const*)>

0000000000000040 <void reasonrec::avx512bf16_isa::gemm_micro<1, 4, reasonrec::avx512bf16_isa::Pairs>(unsigned short const*)>:
      40:	vpbroadcastd (%rdi,%rax,2),%zmm9
      44:	vdpbf16ps (%rdx),%zmm9,%zmm1
      48:	vdpbf16ps 0x40(%rdx){1to16},%zmm9,%zmm2
      4c:	prefetcht1 0x400(%rdx)
      50:	lea    0x80(%rdx),%rdx
      54:	jb     40 <void reasonrec::avx512bf16_isa::gemm_micro<1, 4, reasonrec::avx512bf16_isa::Pairs>(unsigned short const*)>

0000000000000060 <reasonrec::avx2_isa::add(reasonrec::Context const&, float*)>:
      60:	vfmadd231ps (%rdx),%ymm2,%ymm5
      64:	jne    60 <reasonrec::avx2_isa::add(reasonrec::Context const&, float*)>
`

describe('inner loops', () => {
  it('are the densest loop of each product', () => {
    expect(loopsOf(text)).toEqual({
      // The outer loop has the same two multiply-adds in ten instructions; the comparison reads the stack.
      'plain 6x1': { instructions: 7, fmas: 2, loads: 4, spills: 2 },
      'pairs 1x4': { instructions: 6, fmas: 2, loads: 3, spills: 0 },
    })
  })
})
