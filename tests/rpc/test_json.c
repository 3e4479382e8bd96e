/* proto3's JSON mapping: values of its specification's table (protobuf.dev, "ProtoJSON Format"), both sides of every bound,
 * and what must be refused, each with the words that name it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proto/base/limits.h"
#include "proto/base/text.h"
#include "proto/base/wire.h"
#include "proto/rpc/json.h"
#include "proto/rpc/methods.h"

#include "kinds.pb-c.h"
#include "lienthong/v1/record.pb-c.h"
#include "lienthong/v1/sync.pb-c.h"

#define ARENA ((size_t)64 << 20)

/* Read, through the wire and back to JSON. out: the text, empty where it was refused. */
static int
through(const ProtobufCMessageDescriptor *d, struct lt_slice in, struct lt_buf *out,
    struct lt_json_err *err)
{
	struct lt_buf wire = { 0 };
	ProtobufCMessage *m = NULL, *again = NULL;
	struct lt_arena arena;
	int rc;

	lt_buf_clear(out);
	lt_arena_init(&arena, ARENA);
	rc = lt_json_read(d, in, &arena, &m, err);
	if (rc == LT_OK) {
		assert_int_equal(lt_wire_pack(m, LT_MESSAGE_MAX, &wire), LT_OK);
		assert_int_equal(
		    lt_wire_unpack(d, lt_buf_slice(&wire), LT_MESSAGE_MAX, &arena, &again, NULL),
		    LT_OK);
		assert_int_equal(lt_json_write(again, out), LT_OK);
	}
	lt_buf_u8(out, 0);
	lt_buf_fini(&wire);
	lt_arena_fini(&arena);
	return rc;
}

/* in: one member of Kinds; out: the same as it is written, NULL: left out. */
static const struct {
	const char *in, *out;
} taken[] = {
	/* names */
	{ "\"int32\":1", "\"int32\":1" },
	{ "\"int_32\":1", "\"int32\":1" },
	{ "\"aB\":1", "\"aB\":1" },
	{ "\"a__b\":1", "\"aB\":1" },
	{ "\"with2Digits\":1", "\"with2Digits\":1" },
	{ "\"UpperCase\":1", "\"UpperCase\":1" },
	{ "\"trailing\":1", "\"trailing\":1" },
	{ "\"\\u0079es\":true", "\"yes\":true" },
	/* whole numbers of 32 bits */
	{ "\"int32\":2147483647", "\"int32\":2147483647" },
	{ "\"int32\":-2147483648", "\"int32\":-2147483648" },
	{ "\"int32\":\"-5\"", "\"int32\":-5" },
	{ "\"int32\":1.0", "\"int32\":1" },
	{ "\"int32\":1e5", "\"int32\":100000" },
	{ "\"int32\":\"1e5\"", "\"int32\":100000" },
	{ "\"int32\":100000.000", "\"int32\":100000" },
	{ "\"int32\":2.147483647e9", "\"int32\":2147483647" },
	{ "\"int32\":-2147483648.0", "\"int32\":-2147483648" },
	{ "\"int32\":1200e-2", "\"int32\":12" },
	{ "\"int32\":0.00012E+5", "\"int32\":12" },
	{ "\"int32\":0", NULL },
	{ "\"int32\":-0", NULL },
	{ "\"int32\":0e99999999999999999999", NULL },
	{ "\"int32\":null", NULL },
	{ "\"sint32\":-2147483648", "\"sint32\":-2147483648" },
	{ "\"sfixed32\":-1", "\"sfixed32\":-1" },
	{ "\"uint32\":4294967295", "\"uint32\":4294967295" },
	{ "\"uint32\":\"4294967295\"", "\"uint32\":4294967295" },
	{ "\"fixed32\":4294967295.0", "\"fixed32\":4294967295" },
	/* of 64 bits: strings, exact */
	{ "\"int64\":9223372036854775807", "\"int64\":\"9223372036854775807\"" },
	{ "\"int64\":-9223372036854775808", "\"int64\":\"-9223372036854775808\"" },
	{ "\"int64\":\"-9223372036854775808\"", "\"int64\":\"-9223372036854775808\"" },
	{ "\"int64\":9007199254740993", "\"int64\":\"9007199254740993\"" },
	{ "\"int64\":9007199254740993.0", "\"int64\":\"9007199254740993\"" },
	{ "\"int64\":9.007199254740993e15", "\"int64\":\"9007199254740993\"" },
	{ "\"int64\":1e18", "\"int64\":\"1000000000000000000\"" },
	{ "\"sint64\":-1", "\"sint64\":\"-1\"" },
	{ "\"sfixed64\":\"1\"", "\"sfixed64\":\"1\"" },
	{ "\"uint64\":18446744073709551615", "\"uint64\":\"18446744073709551615\"" },
	{ "\"uint64\":\"18446744073709551615\"", "\"uint64\":\"18446744073709551615\"" },
	{ "\"uint64\":18446744073709551615.00", "\"uint64\":\"18446744073709551615\"" },
	{ "\"uint64\":1.8446744073709551615e19", "\"uint64\":\"18446744073709551615\"" },
	{ "\"uint64\":184467440737095516150000000000e-10", "\"uint64\":\"18446744073709551615\"" },
	{ "\"fixed64\":123456789012345678", "\"fixed64\":\"123456789012345678\"" },
	{ "\"fixed64\":1234567890123456789", "\"fixed64\":\"1234567890123456789\"" },
	{ "\"uint64\":\"0\"", NULL },
	/* floating */
	{ "\"wide\":1.5", "\"wide\":1.5" },
	{ "\"wide\":\"1.5\"", "\"wide\":1.5" },
	{ "\"wide\":0.1", "\"wide\":0.1" },
	{ "\"wide\":3", "\"wide\":3.0" },
	{ "\"wide\":1.7976931348623157e308", "\"wide\":1.7976931348623157e308" },
	{ "\"wide\":-2.2250738585072014e-308", "\"wide\":-2.2250738585072014e-308" },
	{ "\"wide\":5e-324", "\"wide\":4.94065645841247e-324" },
	{ "\"wide\":18446744073709551616", "\"wide\":1.8446744073709552e19" },
	{ "\"wide\":\"NaN\"", "\"wide\":\"NaN\"" },
	{ "\"wide\":\"Infinity\"", "\"wide\":\"Infinity\"" },
	{ "\"wide\":\"-Infinity\"", "\"wide\":\"-Infinity\"" },
	{ "\"wide\":0.0", NULL },
	{ "\"wide\":-0.0", NULL },
	{ "\"narrow\":0.1", "\"narrow\":0.1" },
	{ "\"narrow\":16777217", "\"narrow\":16777216.0" /* the nearest float */ },
	{ "\"narrow\":3.4028235e38", "\"narrow\":3.4028235e38" },
	{ "\"narrow\":3.40282350e+38", "\"narrow\":3.4028235e38" },
	{ "\"narrow\":-3.4028235e38", "\"narrow\":-3.4028235e38" },
	{ "\"narrow\":1.17549435e-38", "\"narrow\":1.1754944e-38" },
	{ "\"narrow\":\"NaN\"", "\"narrow\":\"NaN\"" },
	{ "\"narrow\":\"-Infinity\"", "\"narrow\":\"-Infinity\"" },
	{ "\"manyWide\":[0,-0,1]", "\"manyWide\":[0.0,-0.0,1.0]" },
	/* bool, text */
	{ "\"yes\":true", "\"yes\":true" },
	{ "\"yes\":false", NULL },
	{ "\"text\":\"Hello\"", "\"text\":\"Hello\"" },
	{ "\"text\":\"\"", NULL },
	{ "\"text\":\"12\"", "\"text\":\"12\"" },
	{ "\"text\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"text\":\"\\\"\\\\/\\b\\f\\n\\r\\t\"" },
	{ "\"text\":\"\\u8c37\\u6b4c\"", "\"text\":\"\xe8\xb0\xb7\xe6\xad\x8c\"" },
	{ "\"text\":\"Nguy\xe1\xbb\x85n\"", "\"text\":\"Nguy\xe1\xbb\x85n\"" },
	{ "\"text\":\"\\uD83D\\uDE01\"", "\"text\":\"\xf0\x9f\x98\x81\"" },
	{ "\"text\":\"a\\u0001\\u001b[0m\"", "\"text\":\"a\\u0001\\u001b[0m\"" },
	{ "\"text\":\"\xc2\x9b\xe2\x80\xae\xe2\x80\xa8\x7f\"",
	    "\"text\":\"\\u009b\\u202e\\u2028\\u007f\"" },
	/* The mark of numbers, as a text from outside: it is one. */
	{ "\"text\":\"#12\"", "\"text\":\"#12\"" },
	{ "\"text\":\"\\\\u0000#12\"", "\"text\":\"\\\\u0000#12\"" },
	/* bytes: RFC 4648, section 10, and both alphabets */
	{ "\"raw\":\"\"", NULL },
	{ "\"raw\":\"Zg==\"", "\"raw\":\"Zg==\"" },
	{ "\"raw\":\"Zg\"", "\"raw\":\"Zg==\"" },
	{ "\"raw\":\"Zm8=\"", "\"raw\":\"Zm8=\"" },
	{ "\"raw\":\"Zm8\"", "\"raw\":\"Zm8=\"" },
	{ "\"raw\":\"Zm9v\"", "\"raw\":\"Zm9v\"" },
	{ "\"raw\":\"Zm9vYg==\"", "\"raw\":\"Zm9vYg==\"" },
	{ "\"raw\":\"Zm9vYmE=\"", "\"raw\":\"Zm9vYmE=\"" },
	{ "\"raw\":\"Zm9vYmFy\"", "\"raw\":\"Zm9vYmFy\"" },
	{ "\"raw\":\"-_-_\"", "\"raw\":\"+/+/\"" },
	{ "\"raw\":\"+/+/\"", "\"raw\":\"+/+/\"" },
	/* enumerations */
	{ "\"colour\":\"RED\"", "\"colour\":\"RED\"" },
	{ "\"colour\":2", "\"colour\":\"GREEN\"" },
	{ "\"colour\":-1", "\"colour\":\"BLUE\"" },
	{ "\"colour\":1.0", "\"colour\":\"RED\"" },
	{ "\"colour\":0", NULL },
	{ "\"colour\":\"COLOUR_NONE\"", NULL },
	/* lists */
	{ "\"manyInt32\":[]", NULL },
	{ "\"manyInt32\":null", NULL },
	{ "\"manyInt32\":[0,\"1\",2.0]", "\"manyInt32\":[0,1,2]" },
	{ "\"manyUint64\":[18446744073709551615,0]",
	    "\"manyUint64\":[\"18446744073709551615\",\"0\"]" },
	{ "\"manyYes\":[true,false,true]", "\"manyYes\":[true,false,true]" },
	{ "\"manyText\":[\"a\",\"\",\"b\"]", "\"manyText\":[\"a\",\"\",\"b\"]" },
	{ "\"manyRaw\":[\"Zg\",\"\"]", "\"manyRaw\":[\"Zg==\",\"\"]" },
	{ "\"manyColour\":[\"RED\",0,-1]", "\"manyColour\":[\"RED\",\"COLOUR_NONE\",\"BLUE\"]" },
	{ "\"manyNest\":[{},{\"leaf\":1}]", "\"manyNest\":[{},{\"leaf\":1}]" },
	{ "\"manyNarrow\":[0.5,\"NaN\"]", "\"manyNarrow\":[0.5,\"NaN\"]" },
	/* messages */
	{ "\"nest\":{}", "\"nest\":{}" },
	{ "\"nest\":null", NULL },
	{ "\"nest\":{\"one\":{\"one\":{\"leaf\":7}}}",
	    "\"nest\":{\"one\":{\"one\":{\"leaf\":7}}}" },
	/* oneofs: default values are there */
	{ "\"oneText\":\"\"", "\"oneText\":\"\"" },
	{ "\"oneUint64\":0", "\"oneUint64\":\"0\"" },
	{ "\"oneWide\":-0.0", "\"oneWide\":-0.0" },
	{ "\"oneYes\":false", "\"oneYes\":false" },
	{ "\"oneColour\":0", "\"oneColour\":\"COLOUR_NONE\"" },
	{ "\"oneRaw\":\"\"", "\"oneRaw\":\"\"" },
	{ "\"oneNest\":{}", "\"oneNest\":{}" },
	{ "\"oneNest\":null,\"one_text\":\"x\"", "\"oneText\":\"x\"" },
	/* blanks */
	{ " \"yes\" :\r\n\ttrue ", "\"yes\":true" },
};

static void
test_taken(void **state)
{
	struct lt_json_err err;
	struct lt_buf out = { 0 };
	char in[512], want[512];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		(void)snprintf(in, sizeof(in), "{%s}", taken[i].in);
		(void)snprintf(
		    want, sizeof(want), "{%s}", taken[i].out != NULL ? taken[i].out : "");
		if (through(&lttest__kinds__descriptor, lt_slice_str(in), &out, &err) != LT_OK)
			fail_msg("%s: %s", in, err.message);
		if (strcmp((char *)out.data, want) != 0)
			fail_msg("%s: %s, not %s", in, (char *)out.data, want);
	}
	lt_buf_fini(&out);
}

/* in: members of Kinds. words: what the English message holds. */
static const struct {
	const char *in, *path, *value, *words;
} refused[] = {
	{ "\"int32\":2147483648", "int_32", "2147483648", "-2147483648 to 2147483647" },
	{ "\"int32\":-2147483649", "int_32", "-2147483649", "-2147483648 to 2147483647" },
	{ "\"int32\":0.5", "int_32", "0.5", "whole number" },
	{ "\"int32\":1.0000000000000000000001", "int_32", "1.0000000000000000000001", "whole" },
	{ "\"int32\":1e-1", "int_32", "1e-1", "whole" },
	{ "\"int32\":1e99999999999999999999", "int_32", "1e99999999999999999999", "whole" },
	{ "\"int32\":1e-99999999999999999999", "int_32", "1e-99999999999999999999", "whole" },
	{ "\"int32\":\"\"", "int_32", "\"\"", "whole" },
	{ "\"int32\":\" 1\"", "int_32", "\" 1\"", "whole" },
	{ "\"int32\":\"1 \"", "int_32", "\"1 \"", "whole" },
	{ "\"int32\":\"0x1\"", "int_32", "\"0x1\"", "whole" },
	{ "\"int32\":\"+1\"", "int_32", "\"+1\"", "whole" },
	{ "\"int32\":\"01\"", "int_32", "\"01\"", "whole" },
	{ "\"int32\":true", "int_32", "true", "whole" },
	{ "\"int32\":{}", "int_32", "{...}", "whole" },
	{ "\"int32\":[1]", "int_32", "[...]", "whole" },
	{ "\"uint32\":-1", "uint_32", "-1", "0 to 4294967295" },
	{ "\"uint32\":4294967296", "uint_32", "4294967296", "0 to 4294967295" },
	{ "\"int64\":9223372036854775808", "int_64", "9223372036854775808", "64 bits" },
	{ "\"int64\":-9223372036854775809", "int_64", "-9223372036854775809", "64 bits" },
	{ "\"int64\":9223372036854775807.5", "int_64", "9223372036854775807.5", "64 bits" },
	{ "\"uint64\":18446744073709551616", "uint_64", "18446744073709551616", "whole" },
	{ "\"uint64\":-1", "uint_64", "-1", "0 to 18446744073709551615" },
	{ "\"uint64\":184467440737095516150", "uint_64", "184467440737095516150", "whole" },
	{ "\"wide\":1.8e308", "wide", "1.8e308", "range of a double" },
	{ "\"wide\":\"-1e309\"", "wide", "\"-1e309\"", "range of a double" },
	{ "\"wide\":\"nan\"", "wide", "\"nan\"", "double" },
	{ "\"wide\":\"inf\"", "wide", "\"inf\"", "double" },
	{ "\"wide\":\"+Infinity\"", "wide", "\"+Infinity\"", "double" },
	{ "\"wide\":\"1.\"", "wide", "\"1.\"", "double" },
	{ "\"wide\":\".5\"", "wide", "\".5\"", "double" },
	{ "\"wide\":\"0x1p3\"", "wide", "\"0x1p3\"", "double" },
	{ "\"wide\":\"\"", "wide", "\"\"", "double" },
	{ "\"narrow\":3.4028236e38", "narrow", "3.4028236e38", "range of a float" },
	{ "\"narrow\":1e39", "narrow", "1e39", "range of a float" },
	{ "\"yes\":\"true\"", "yes", "\"true\"", "true or false" },
	{ "\"yes\":1", "yes", "1", "true or false" },
	{ "\"text\":12", "text", "12", "text" },
	{ "\"text\":18446744073709551615", "text", "18446744073709551615", "text" },
	{ "\"text\":1.5", "text", "1.5", "text" },
	{ "\"text\":\"a\\u0000b\"", "text", "\"a\\x00b\"", "without NUL" },
	{ "\"text\":\"\\u0000\"", "text", "\"\\x00\\x00\"", "without NUL" },
	{ "\"uint64\":\"\\u0000#12\"", "uint_64", "\"\\x00\\x00#12\"", "whole" },
	{ "\"uint64\":\"12\\u0000\"", "uint_64", "\"12\\x00\"", "whole" },
	{ "\"wide\":\"NaN\\u0000\"", "wide", "\"NaN\\x00\"", "double" },
	{ "\"raw\":\"Z\"", "raw", "\"Z\"", "base64" },
	{ "\"raw\":\"Zg=\"", "raw", "\"Zg=\"", "base64" },
	{ "\"raw\":\"Zm9v=\"", "raw", "\"Zm9v=\"", "base64" },
	{ "\"raw\":\"=\"", "raw", "\"=\"", "base64" },
	{ "\"raw\":\"====\"", "raw", "\"====\"", "base64" },
	{ "\"raw\":\"Zg===\"", "raw", "\"Zg===\"", "base64" },
	{ "\"raw\":\"Z m8\"", "raw", "\"Z m8\"", "base64" },
	{ "\"raw\":\"Zm8\\n\"", "raw", "\"Zm8\\x0a\"", "base64" },
	{ "\"raw\":\"Zh\"", "raw", "\"Zh\"", "base64" /* bits behind the last byte */ },
	{ "\"raw\":\"-_\"", "raw", "\"-_\"", "base64" },
	{ "\"raw\":\"Zm9=\"", "raw", "\"Zm9=\"", "base64" },
	{ "\"raw\":\"Zm\\u00008\"", "raw", "\"Zm\\x008\"", "base64" },
	{ "\"raw\":12", "raw", "12", "base64" },
	{ "\"raw\":1e5", "raw", "1e5", "base64" },
	{ "\"colour\":\"red\"", "colour", "\"red\"", "lttest.Colour" },
	{ "\"colour\":\"1\"", "colour", "\"1\"", "lttest.Colour" },
	{ "\"colour\":3", "colour", "3", "lttest.Colour" },
	{ "\"colour\":4294967295", "colour", "4294967295", "lttest.Colour" },
	{ "\"colour\":1.5", "colour", "1.5", "lttest.Colour" },
	{ "\"colour\":\"RED\\u0000\"", "colour", "\"RED\\x00\"", "lttest.Colour" },
	{ "\"manyInt32\":1", "many_int_32", "1", "a list" },
	{ "\"manyInt32\":{}", "many_int_32", "{...}", "a list" },
	{ "\"manyInt32\":[1,null]", "many_int_32[1]", "null", "whole" },
	{ "\"manyText\":[\"a\",null]", "many_text[1]", "null", "text" },
	{ "\"manyNest\":[{},null]", "many_nest[1]", "null", "an object" },
	{ "\"manyNest\":[{},[]]", "many_nest[1]", "[...]", "an object" },
	{ "\"manyNest\":[{},{},{},{\"many\":[{},{\"leaf\":\"x\"}]}]", "many_nest[3].many[1].leaf",
	    "\"x\"", "whole" },
	{ "\"nest\":\"x\"", "nest", "\"x\"", "an object" },
	{ "\"nest\":{\"one\":{\"leaf\":-1}}", "nest.one.leaf", "-1", "whole" },
	{ "\"nothing\":1", "nothing", "", "lttest.Kinds has no such field" },
	{ "\"INT32\":1", "INT32", "", "no such field" },
	{ "\"\":1", "", "", "no such field" },
	{ "\"nest\":{\"one\":{\"\\u001b\\\"x\":1}}", "nest.one.\\x1b\"x", "", "no such field" },
	{ "\"int32\":1,\"int_32\":2", "int_32", "", "twice" },
	{ "\"int32\":null,\"int_32\":2", "int_32", "", "twice" },
	{ "\"oneText\":\"a\",\"oneYes\":true", "one_yes", "", "oneof" },
	{ "\"oneText\":\"\",\"oneYes\":false", "one_yes", "", "oneof" },
	/* not JSON */
	{ "\"int32\":1,\"int32\":2", "", "", "duplicate" },
	{ "\"yes\":true,\"\\u0079es\":false", "", "", "duplicate" },
	{ "\"int32\":01", "", "", "not JSON: line 1" },
	{ "\"int32\":+1", "", "", "not JSON" },
	{ "\"int32\":1.", "", "", "not JSON" },
	{ "\"int32\":.5", "", "", "not JSON" },
	{ "\"int32\":-", "", "", "not JSON" },
	{ "\"int32\":1.5.5", "", "", "not JSON" },
	{ "\"int32\":1e5e5", "", "", "not JSON" },
	{ "\"int32\":1-1", "", "", "not JSON" },
	{ "\"int32\":1.5 1.5", "", "", "not JSON" },
	{ "\"int32\":1.5\"\"", "", "", "not JSON" },
	{ "1.5:1", "", "", "not JSON" },
	{ "12:1", "", "", "not JSON" },
	{ "\"wide\":NaN", "", "", "not JSON" },
	{ "\"wide\":Infinity", "", "", "not JSON" },
	{ "'int32':1", "", "", "not JSON" },
	{ "\"int32\":1,", "", "", "not JSON" },
	{ "\"int32\":\n\n1 2", "", "", "not JSON: line 3" },
	{ "\"text\":\"\xff\"", "", "", "not JSON" },
	{ "\"text\":\"\xed\xa0\x80\"", "", "", "not JSON" },
	{ "\"text\":\"\xc0\x80\"", "", "", "not JSON" },
	{ "\"text\":\"\\ud800\"", "", "", "not JSON" },
	{ "\"text\":\"\\udc00\\ud800\"", "", "", "not JSON" },
	{ "\"text\":\"a\nb\"", "", "", "not JSON" },
	{ "\"te\\u0000xt\":\"\"", "", "", "not JSON" },
	{ "\"\\u0000#12\":\"\"", "", "", "not JSON" },
};

static void
test_refused(void **state)
{
	struct lt_json_err err;
	struct lt_buf out = { 0 };
	char in[512];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		(void)snprintf(in, sizeof(in), "{%s}", refused[i].in);
		memset(&err, 0, sizeof(err));
		if (through(&lttest__kinds__descriptor, lt_slice_str(in), &out, &err) !=
		    LT_E_INVALID)
			fail_msg("%s was taken: %s", in, (char *)out.data);
		if (strcmp(err.path, refused[i].path) != 0 ||
		    strcmp(err.value, refused[i].value) != 0 ||
		    strstr(err.message, refused[i].words) == NULL ||
		    strstr(err.message, refused[i].path) == NULL ||
		    strstr(err.message_vi, refused[i].path) == NULL ||
		    strstr(err.message_vi, refused[i].value) == NULL)
			fail_msg("%s: path %s, value %s, message %s", in, err.path, err.value,
			    err.message);
		assert_true(lt_text_valid(lt_slice_str(err.message_vi)));
		assert_string_not_equal(err.message, err.message_vi);
		/* Nobody has to want the words. */
		assert_int_equal(through(&lttest__kinds__descriptor, lt_slice_str(in), &out, NULL),
		    LT_E_INVALID);
	}
	lt_buf_fini(&out);
}

static void
test_whole_texts(void **state)
{
	static const char *const texts[] = { "", " ", "null", "1", "\"\"", "[]", "{", "}", "{}x",
		"{}{}", "[{}]", "\xef\xbb\xbf{}", "{]", "true", "1.5", "-", "\"" };
	struct lt_json_err err;
	struct lt_buf out = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (through(&lttest__kinds__descriptor, lt_slice_str(texts[i]), &out, &err) !=
			LT_E_INVALID ||
		    err.message[0] == '\0' || err.message_vi[0] == '\0')
			fail_msg("\"%s\"", texts[i]);
	assert_int_equal(
	    through(&lttest__kinds__descriptor, lt_slice("{}\0", 3), &out, &err), LT_E_INVALID);
	assert_int_equal(
	    through(&lttest__kinds__descriptor, lt_slice(NULL, 0), &out, &err), LT_E_INVALID);
	assert_int_equal(
	    through(&lttest__kinds__descriptor, lt_slice_str(" {\n} "), &out, &err), LT_OK);
	lt_buf_fini(&out);
}

/* ---- bounds ---- */

static void
repeat(struct lt_buf *b, const char *s, size_t n)
{
	for (; n != 0; n--)
		lt_buf_str(b, s);
}

static int
read_nest(size_t depth, struct lt_json_err *err)
{
	struct lt_buf in = { 0 }, out = { 0 };
	int rc;

	repeat(&in, "{\"many\":[", depth - 1);
	lt_buf_str(&in, "{}");
	repeat(&in, "]}", depth - 1);
	rc = through(&lttest__nest__descriptor, lt_buf_slice(&in), &out, err);
	if (rc == LT_OK)
		assert_memory_equal(out.data, in.data, in.len);
	lt_buf_fini(&in);
	lt_buf_fini(&out);
	return rc;
}

static void
test_depth(void **state)
{
	struct lt_json_err err;
	struct lt_buf in = { 0 }, out = { 0 };
	size_t i;

	(void)state;
	for (i = 1; i <= LT_DEPTH_MAX; i++)
		assert_int_equal(read_nest(i, &err), LT_OK);
	assert_int_not_equal(read_nest(LT_DEPTH_MAX + 1, &err), LT_OK);
	assert_non_null(strstr(err.message, "deep"));
	/* Without lists the messages are counted. */
	repeat(&in, "{\"one\":", LT_DEPTH_MAX);
	lt_buf_str(&in, "{}");
	repeat(&in, "}", LT_DEPTH_MAX);
	assert_int_equal(
	    through(&lttest__nest__descriptor, lt_buf_slice(&in), &out, &err), LT_E_INVALID);
	assert_string_equal(err.path, "one.one.one.one.one.one.one.one");
	/* However deep: no stack is used for it. */
	lt_buf_clear(&in);
	repeat(&in, "[", LT_JSON_TEXT_MAX);
	assert_int_equal(
	    through(&lttest__nest__descriptor, lt_buf_slice(&in), &out, &err), LT_E_TOOBIG);
	lt_buf_clear(&in);
	repeat(&in, "{\"x\":", LT_JSON_TEXT_MAX / 5);
	assert_int_equal(
	    through(&lttest__nest__descriptor, lt_buf_slice(&in), &out, &err), LT_E_TOOBIG);
	lt_buf_fini(&in);
	lt_buf_fini(&out);
}

static void
test_size(void **state)
{
	struct lt_json_err err;
	struct lt_buf in = { 0 }, out = { 0 };

	(void)state;
	/* as many values as may be: the object, its list, and the numbers */
	lt_buf_str(&in, "{\"manyInt32\":[1");
	repeat(&in, ",1", LT_JSON_VALUES_MAX - 3);
	lt_buf_str(&in, "]}");
	assert_int_equal(through(&lttest__kinds__descriptor, lt_buf_slice(&in), &out, &err), LT_OK);
	in.len -= 2;
	lt_buf_str(&in, ",1]}");
	assert_int_equal(
	    through(&lttest__kinds__descriptor, lt_buf_slice(&in), &out, &err), LT_E_TOOBIG);
	assert_non_null(strstr(err.message, "too many values"));
	/* as long as may be, then a byte more */
	lt_buf_clear(&in);
	lt_buf_str(&in, "{}");
	repeat(&in, " ", LT_JSON_TEXT_MAX - 2);
	assert_int_equal(through(&lttest__kinds__descriptor, lt_buf_slice(&in), &out, &err), LT_OK);
	lt_buf_u8(&in, ' ');
	assert_int_equal(
	    through(&lttest__kinds__descriptor, lt_buf_slice(&in), &out, &err), LT_E_TOOBIG);
	/* numbers that are kept in their own words, without end */
	lt_buf_clear(&in);
	lt_buf_str(&in, "{\"manyWide\":[");
	repeat(&in, "-0 ", LT_JSON_TEXT_MAX / 3 - 10);
	assert_int_not_equal(
	    through(&lttest__kinds__descriptor, lt_buf_slice(&in), &out, &err), LT_OK);
	/* one of a million digits, whole after all */
	lt_buf_clear(&in);
	lt_buf_str(&in, "{\"uint64\":12.");
	repeat(&in, "0", 1000000);
	lt_buf_str(&in, "}");
	assert_int_equal(through(&lttest__kinds__descriptor, lt_buf_slice(&in), &out, &err), LT_OK);
	assert_string_equal((char *)out.data, "{\"uint64\":\"12\"}");
	in.len -= 2;
	lt_buf_str(&in, "1}");
	assert_int_equal(
	    through(&lttest__kinds__descriptor, lt_buf_slice(&in), &out, &err), LT_E_INVALID);
	assert_true(strlen(err.message) < 300);
	lt_buf_fini(&in);
	lt_buf_fini(&out);
}

static void
test_small_arena(void **state)
{
	static const char text[] =
	    "{\"manyNest\":[{},{},{}],\"text\":\"abc\",\"manyUint64\":[1,2,3],\"raw\":\"Zm9v\"}";
	struct lt_json_err err;
	struct lt_arena arena;
	ProtobufCMessage *m;
	size_t cap;
	int rc = LT_E_NOMEM;
	unsigned failed = 0;

	(void)state;
	for (cap = 0; rc != LT_OK && cap < ((size_t)1 << 20); cap += 16) {
		lt_arena_init(&arena, cap);
		rc = lt_json_read(&lttest__kinds__descriptor, lt_slice_str(text), &arena, &m, &err);
		lt_arena_fini(&arena);
		if (rc != LT_OK)
			assert_int_equal(rc, LT_E_NOMEM);
		failed += rc != LT_OK;
	}
	assert_int_equal(rc, LT_OK);
	assert_true(failed != 0);
}

/* The path of an error is cut in front, never in the field that is wrong. */
static void
test_long_path(void **state)
{
	char key[2000], in[2100];
	struct lt_json_err err;
	struct lt_buf out = { 0 };

	(void)state;
	memset(key, 'k', sizeof(key) - 1);
	key[sizeof(key) - 1] = '\0';
	(void)snprintf(in, sizeof(in), "{\"nest\":{\"%s\":1}}", key);
	assert_int_equal(
	    through(&lttest__kinds__descriptor, lt_slice_str(in), &out, &err), LT_E_INVALID);
	assert_true(strlen(err.path) > 100);
	assert_true(strspn(err.path, "k") == strlen(err.path) || strstr(err.path, ".kkk") != NULL);
	lt_buf_fini(&out);
}

/* ---- writing ---- */

static void
test_writing_is_bounded(void **state)
{
	Lttest__Kinds m = LTTEST__KINDS__INIT;
	char *const texts[] = { (char *)"abc", (char *)"def" };
	struct lt_buf whole = { 0 }, out;
	size_t max;

	(void)state;
	m.many_text = (char **)texts;
	m.n_many_text = 2;
	m.raw.data = (uint8_t *)texts[0];
	m.raw.len = 3;
	m.wide = 0.1;
	assert_int_equal(lt_json_write(&m.base, &whole), LT_OK);
	for (max = 1; max <= whole.len; max++) {
		lt_buf_init(&out, max);
		assert_int_equal(
		    lt_json_write(&m.base, &out), max < whole.len ? LT_E_TOOBIG : LT_OK);
		assert_true(out.len <= max);
		lt_buf_fini(&out);
	}
	lt_buf_fini(&whole);
}

static void
test_writing_odd_messages(void **state)
{
	Lttest__Nest nest[LT_DEPTH_MAX + 1];
	Lttest__Kinds m = LTTEST__KINDS__INIT;
	struct lt_buf out = { 0 };
	size_t i;

	(void)state;
	/* an enumeration number that nobody knows is written as a number */
	m.colour = (Lttest__Colour)77;
	assert_int_equal(lt_json_write(&m.base, &out), LT_OK);
	lt_buf_u8(&out, 0);
	assert_string_equal((char *)out.data, "{\"colour\":77}");
	lt_buf_clear(&out);
	lttest__kinds__init(&m);
	m.text = (char *)"\xff";
	assert_int_equal(lt_json_write(&m.base, &out), LT_E_INVALID);
	lt_buf_clear(&out);
	for (i = 0; i < LT_DEPTH_MAX + 1; i++) {
		lttest__nest__init(&nest[i]);
		nest[i].one = i < LT_DEPTH_MAX ? &nest[i + 1] : NULL;
	}
	assert_int_equal(lt_json_write(&nest[1].base, &out), LT_OK);
	assert_int_equal(lt_json_write(&nest[0].base, &out), LT_E_TOOBIG);
	lt_buf_fini(&out);
}

static void
test_own_schema(void **state)
{
	static const char text[] =
	    "{\"collection\":\"dossier\",\"unit\":[\"16906\"],\"filter\":[{\"field\":\"status\","
	    "\"op\":\"FILTER_OP_EQ\",\"value\":[{\"enumeration\":\"new\"},{\"integer\":\"-5\"},"
	    "{\"decimal\":{\"unscaled\":\"125\",\"scale\":2}},{\"date\":20000}]}],\"orderBy\":"
	    "\"x\","
	    "\"pageSize\":10,\"pageToken\":\"AAEC\"}";
	struct lt_json_err err;
	struct lt_buf out = { 0 };

	(void)state;
	assert_int_equal(
	    through(&ltpb__list_request__descriptor, lt_slice_str(text), &out, &err), LT_OK);
	assert_string_equal((char *)out.data, text);
	assert_int_equal(
	    through(&ltpb__put_request__descriptor,
		lt_slice_str("{\"field\":[{},{},{},{\"value\":{\"integer\":\"x\"}}]}"), &out, &err),
	    LT_E_INVALID);
	assert_string_equal(err.path, "field[3].value.integer");
	lt_buf_fini(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_whole_texts),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_small_arena),
		cmocka_unit_test(test_long_path),
		cmocka_unit_test(test_writing_is_bounded),
		cmocka_unit_test(test_writing_odd_messages),
		cmocka_unit_test(test_own_schema),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
