/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "super/trial.h"

static enum trial_action wait_from(struct trial *t, int64_t now)
{
	t->deadline = now + t->limit;
	return TRIAL_DO_WAIT;
}

static enum trial_action changed(struct trial *t, int64_t now)
{
	bool first = !t->changed;

	t->changed = now;
	return first ? wait_from(t, now) : TRIAL_DO_NOTHING;
}

static enum trial_action end(struct trial *t, enum trial_action action)
{
	t->over = true;
	return action;
}

/* Proved long before the end says little: what cuts the way in may take its time. */
static enum trial_action decide(struct trial *t, int64_t now)
{
	bool proved = t->proved > t->changed && now - t->proved <= t->limit / 2;

	if (!t->changed)
		return wait_from(t, now);
	return end(t, proved ? TRIAL_DO_KEEP : TRIAL_DO_UNDO);
}

enum trial_action trial_step(struct trial *t, enum trial_event event, int64_t now)
{
	if (t->over)
		return TRIAL_DO_NOTHING;
	switch (event) {
	case TRIAL_EV_START:
		return wait_from(t, now);
	case TRIAL_EV_CHANGED:
		return changed(t, now);
	case TRIAL_EV_PROVED:
		t->proved = now;
		return TRIAL_DO_NOTHING;
	case TRIAL_EV_YES:
		return end(t, TRIAL_DO_KEEP);
	case TRIAL_EV_TIME:
		return now >= t->deadline ? decide(t, now) : TRIAL_DO_NOTHING;
	}
	return TRIAL_DO_NOTHING;
}
