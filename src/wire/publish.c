/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/text.h"
#include "wire/config.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define FORM "door-port[:room-port][/tcp or /udp], such as 80, 8080:80 or 53/udp"

static int read_port(const char *s, const char *word, uint16_t *ret, struct err *e)
{
	uint32_t port;

	if (!*s || strspn(s, "0123456789") != strlen(s))
		return err_set(e, EINVAL, "\"%.40s\" is not a port to publish; write " FORM, word);
	if (!str_to_u32(s, 65535, &port) || port == 0)
		return err_set(e, EINVAL, "port %.40s does not exist; write one from 1 to 65535",
			       s);
	*ret = (uint16_t)port;
	return 0;
}

static int read_proto(const char *s, const char *word, uint8_t *ret, struct err *e)
{
	if (str_eq(s, "tcp"))
		*ret = IPPROTO_TCP;
	else if (str_eq(s, "udp"))
		*ret = IPPROTO_UDP;
	else
		return err_set(e, EINVAL,
			       "\"/%.40s\" in \"%.40s\" is no protocol that has ports; "
			       "write /tcp or /udp",
			       s, word);
	return 0;
}

int config_publish(const char *word, struct publish *ret, struct err *e)
{
	struct publish p = { .proto = IPPROTO_TCP };
	char ports[64];
	size_t len = strcspn(word, "/");
	char *colon;
	int r;

	if (len >= sizeof(ports))
		return err_set(e, EINVAL, "\"%.40s\" is not a port to publish; write " FORM, word);
	memcpy(ports, word, len);
	ports[len] = 0;
	colon = strchr(ports, ':');
	if (colon)
		*colon = 0;
	r = read_port(ports, word, &p.door_port, e);
	if (r < 0)
		return r;
	p.room_port = p.door_port;
	r = colon ? read_port(colon + 1, word, &p.room_port, e) : 0;
	if (r < 0)
		return r;
	r = word[len] ? read_proto(word + len + 1, word, &p.proto, e) : 0;
	if (r < 0)
		return r;
	*ret = p;
	return 0;
}
