/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SYS_MEMORY_H
#define SYS_MEMORY_H

/*
 * Gives back what the start needed and waiting does not: free heap, and the
 * pages of program text that were touched (they are the page cache's, and come
 * back by a minor fault when they are run again).  Most of it is libnftables'
 * parser.
 */
void memory_give_back(void);

#endif
