// Losses over preferences: the first sequence of a group is preferred to all the others.
//   D = sum_t (logp - reference) of a sequence
//   dpo     -log sigmoid(beta (D_w - D_l)), one loser               Rafailov et al. 2023
//   sdpo    -log sigmoid(-log sum_l exp(beta (D_l - D_w)))          S-DPO, Chen et al. 2024
//   simpo   -log sigmoid(beta (m_w - m_l) - margin), m = mean_t logp, one loser  Meng et al. 2024
// times the weight of the winner's tokens. Advantages play no part, and old log-probs only tell how
// far the policy has moved.
#pragma once
#include "ops/policy_loss.h"

namespace reasonrec {

// dlogprob (n) = d loss / d logp, or null.
PolicyLossSums preference_loss(const PolicyLossConfig&, const PolicyTokens&, float* dlogprob);

// Loss of one group from its sequences' scores (winner first): D of dpo and sdpo, m of simpo.
// gradient (count) = d loss / d score, or null.
double preference_term(const PolicyLossConfig&, const double* scores, int64_t count,
                       double* gradient);

}  // namespace reasonrec
