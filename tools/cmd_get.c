#include "tools/ctl.h"

#include <string.h>

enum ctl_exit
cmd_get(struct ctl *c, int argc, char **argv)
{
	Ltpb__GetRequest req = LTPB__GET_REQUEST__INIT;
	const char *fields = NULL, *unit = NULL;
	const struct ctl_option options[] = { { "unit", CTL_TEXT, &unit },
		{ "fields", CTL_TEXT, &fields } };
	const Ltpb__GetReply *r;
	ProtobufCMessage *m = NULL;
	struct ctl_list args;
	enum ctl_exit code = ctl_options(c, argc, argv, options, 2, &args, 2, 2);

	if (code == CTL_DONE)
		code = ctl_connect(c);
	if (code != CTL_DONE)
		return code;
	req.collection = (char *)args.item[0];
	req.key = (char *)args.item[1];
	/* Built-in collections live in the unit of the federation itself. */
	req.unit = (char *)(unit != NULL                 ? unit
			    : args.item[0][0] == '_'     ? "_"
			    : ctl_own_unit(c)[0] != '\0' ? ctl_own_unit(c)
							 : "");
	if (fields != NULL)
		req.mask = ctl_split(&c->arena, fields, &req.n_mask);
	if (req.unit[0] == '\0')
		return ctl_fail(CTL_USAGE, "%s",
		    T("say which unit the record belongs to: --unit CODE",
			"hãy nói bản ghi thuộc đơn vị nào: --unit MÃ"));
	code = ctl_call(c, &ltpb__query__descriptor, "Get", &req.base, &m);
	if (code != CTL_DONE)
		return code;
	r = (const Ltpb__GetReply *)m;
	if (c->json) {
		json_t *o = ctl_json_record(r->record);

		json_object_set_new(o, "freshness", ctl_json_freshness(r->freshness));
		ctl_print_json(o);
	} else {
		ctl_print_record(c, r->record);
		ctl_print_freshness(c, r->freshness);
	}
	ctl_reply_free(m);
	return CTL_DONE;
}
