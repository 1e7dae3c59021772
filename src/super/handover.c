/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "super/handover.h"

enum handover_action handover_step(struct handover *h, bool tunnel, enum handover_word word,
				   int64_t now)
{
	h->seen = h->seen || tunnel;
	if (tunnel)
		return HANDOVER_STAND;
	switch (word) {
	case HANDOVER_SAYS_YES: /* one that was connected starts again */
		return HANDOVER_WAIT;
	case HANDOVER_SAYS_NO:
		return HANDOVER_END;
	case HANDOVER_SAYS_NOTHING:
		break;
	}
	return h->hands_over && !h->seen && now - h->ended < HANDOVER_MS ? HANDOVER_WAIT
									 : HANDOVER_END;
}
