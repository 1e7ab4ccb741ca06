/* Requests on raw sockets, most of them malformed, and their answers, some of which depend on the version of
   libmicrohttpd. docs/http.md has this table; `test_raw_shapes table` prints its rows for the installed library. */
#include "e2e.h"

#include <microhttpd.h>
#include <signal.h>
#include <unistd.h>

static struct daemon server;

/* A request and the statuses of its answers in order. SECOND follows every request. A 404 at the end means that the
   server and a strict reader agree on the end of the request; a single 400 means that the server has closed the
   connection. */
struct shape {
    const char *what, *bytes;
    size_t n;
    const char *old, *new; /* statuses with libmicrohttpd 0.9.75 (Debian 12) and 1.0.1 (Debian 13) */
};

#define SECOND "GET /second HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
#define BODY "{\"instances\": [[[1, 2]]]}"
#define HEX "19" /* its length in hexadecimal */
#define GET(fields) "GET /livez HTTP/1.1\r\nHost: a\r\n" fields "\r\n"
#define POST(fields, body) "POST /predict HTTP/1.1\r\nHost: a\r\n" fields "\r\n" body
#define SIZED(fields) POST(fields "Content-Length: 25\r\n", BODY)
#define CHUNKED(body) POST("Transfer-Encoding: chunked\r\n", body)
#define CODED(value) POST("Transfer-Encoding:" value "\r\n", HEX "\r\n" BODY "\r\n0\r\n\r\n")
#define A16 "aaaaaaaaaaaaaaaa"
#define A256 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16 A16
#define A2048 A256 A256 A256 A256 A256 A256 A256 A256
#define N20                                                                                                            \
    "n: 1\r\nn: 2\r\nn: 3\r\nn: 4\r\nn: 5\r\nn: 6\r\nn: 7\r\nn: 8\r\nn: 9\r\nn: 10\r\nn: 11\r\nn: 12\r\nn: 13\r\nn: "  \
    "14\r\nn: 15\r\nn: 16\r\nn: 17\r\nn: 18\r\nn: 19\r\nn: 20\r\n"
#define N100 N20 N20 N20 N20 N20
#define ROW(what, bytes, old, new)                                                                                     \
    {                                                                                                                  \
        what, bytes, sizeof(bytes) - 1, old, new                                                                       \
    }

static const struct shape shapes[] = {
    ROW("# Valid", "", "", ""),
    ROW("GET", GET(""), "200 404", "200 404"),
    ROW("POST with a length", SIZED(""), "200 404", "200 404"),
    ROW("POST in chunks", CHUNKED(HEX "\r\n" BODY "\r\n0\r\n\r\n"), "200", "200 404"),
    ROW("many chunks", CHUNKED("5\r\n{\"ins\r\n14\r\ntances\": [[[1, 2]]]}\r\n0\r\n\r\n"), "200", "200 404"),
    ROW("chunk size with zeros before it, and in capitals",
        CHUNKED("000A\r\n{\"instance\r\n0F\r\ns\": [[[1, 2]]]}\r\n0\r\n\r\n"), "200", "200 404"),
    ROW("a trailer field", CHUNKED(HEX "\r\n" BODY "\r\n0\r\nX-Sum: 1\r\n\r\n"), "200", "200 404"),
    ROW("a chunk extension", CHUNKED(HEX ";a=b\r\n" BODY "\r\n0\r\n\r\n"), "200", "400"),
    ROW("a chunk extension with a quoted text", CHUNKED(HEX ";a=\"b c\"\r\n" BODY "\r\n0\r\n\r\n"), "200", "400"),
    ROW("an extension of the last chunk", CHUNKED(HEX "\r\n" BODY "\r\n0;a\r\n\r\n"), "200", "400"),
    ROW("white space before a chunk extension", CHUNKED(HEX " ;a=b\r\n" BODY "\r\n0\r\n\r\n"), "400", "400"),
    ROW("absolute-form", "GET http://a/livez HTTP/1.1\r\nHost: a\r\n\r\n", "200 404", "200 404"),
    ROW("absolute-form with a port and a query", "GET http://a:80/livez?x=1 HTTP/1.1\r\nHost: a:80\r\n\r\n", "200 404",
        "200 404"),
    ROW("absolute-form, https in capitals", "GET HTTPS://a/livez HTTP/1.1\r\nHost: a\r\n\r\n", "200 404", "200 404"),
    ROW("absolute-form without a path", "HEAD http://a HTTP/1.1\r\nHost: a\r\n\r\n", "200 404", "200 404"),
    ROW("an empty line before the request", "\r\n" GET(""), "200 404", "200 404"),
    ROW("no white space before values", POST("Content-Length:25\r\n", BODY), "200 404", "200 404"),
    ROW("white space before a length", POST("Content-Length: \t 25\r\n", BODY), "200 404", "200 404"),
    ROW("white space after a length", POST("Content-Length: 25 \t\r\n", BODY), "400 400", "200 404"),
    ROW("white space around other values",
        SIZED("Content-Type: \t application/json \t\r\nExpect:  100-continue \r\nX-Request-Timeout-Ms: 9000 \r\n"),
        "200 404", "200 404"),
    ROW("white space around Host", "GET /livez HTTP/1.1\r\nHost:  a \r\n\r\n", "200 404", "200 404"),
    ROW("white space before chunked", CODED("  chunked"), "200", "200 404"),
    ROW("white space after chunked", CODED(" chunked "), "400", "200 404"),
    ROW("Chunked in capitals", CODED(" CHUNKED"), "200", "200 404"),
    ROW("200 fields", GET(N100 N100), "200 404", "200 404"),
    ROW("empty value", GET("X-A:\r\n"), "200 404", "200 404"),
    ROW("value of bytes above 127", GET("X-A: \xc3\xa9\r\n"), "200 404", "200 404"),
    ROW("length with zeros before it", POST("Content-Length: 0025\r\n", BODY), "200 404", "200 404"),
    ROW("HTTP/1.0 without Host", "GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "200 404", "200 404"),
    ROW("escapes in a path", "GET /%6cive%7A HTTP/1.1\r\nHost: a\r\n\r\n", "200 404", "200 404"),
    ROW("empty Host", "GET /livez HTTP/1.1\r\nHost:\r\n\r\n", "200 404", "200 404"),

    ROW("# Line ends", "", "", ""),
    ROW("request line ends with LF", "GET /livez HTTP/1.1\nHost: a\r\n\r\n", "200 404", "400"),
    ROW("a field ends with LF", "GET /livez HTTP/1.1\r\nHost: a\n\r\n", "200 404", "400"),
    ROW("the head ends with LF LF", "GET /livez HTTP/1.1\r\nHost: a\n\n", "200 404", "400"),
    ROW("the head ends with CR LF LF", "GET /livez HTTP/1.1\r\nHost: a\r\n\n", "200 404", "400"),
    ROW("all lines end with LF", "GET /livez HTTP/1.1\nHost: a\nX: b\n\n", "200 404", "400"),
    ROW("a length's line ends with LF", POST("Content-Length: 25\n", BODY), "200 404", "400"),
    ROW("Transfer-Encoding's line ends with LF", POST("Transfer-Encoding: chunked\n", HEX "\r\n" BODY "\r\n0\r\n\r\n"),
        "200", "400"),
    ROW("an LF hides a field", GET("X-A: b\nContent-Length: 5\r\n"), "200 400", "400"),
    ROW("LF before the request", "\n" GET(""), "200 404", ""),
    ROW("CR alone in a value", GET("X-A: b\rc\r\n"), "400", "400"),
    ROW("CR alone hides a field", GET("X-A: b\rContent-Length: 5\r\n"), "400", "400"),
    ROW("CR alone at a line's end", "GET /livez HTTP/1.1\rHost: a\r\r", "400", "400"),
    ROW("CR CR LF at a field's end", GET("X-A: b\r\r\n"), "400", "400"),
    ROW("CR CR LF at the request line's end", "GET /livez HTTP/1.1\r\r\nHost: a\r\n\r\n", "400", "400"),
    ROW("chunk size ends with LF", CHUNKED(HEX "\n" BODY "\r\n0\r\n\r\n"), "200", "400"),
    ROW("chunk data ends with LF", CHUNKED(HEX "\r\n" BODY "\n0\r\n\r\n"), "200", "400"),
    ROW("last chunk ends with LF", CHUNKED(HEX "\r\n" BODY "\r\n0\n\r\n"), "200", "400"),
    ROW("trailers end with LF", CHUNKED(HEX "\r\n" BODY "\r\n0\r\n\n"), "200", "400"),
    ROW("all of the chunks' lines end with LF", CHUNKED(HEX "\n" BODY "\n0\n\n"), "200", "400"),
    ROW("chunk size ends with CR", CHUNKED(HEX "\r" BODY "\r\n0\r\n\r\n"), "400", "400"),
    ROW("chunk data ends without a line end", CHUNKED(HEX "\r\n" BODY "0\r\n\r\n"), "400", "400"),
    ROW("chunk data is longer than its size", CHUNKED("5\r\n{\"instances\r\n0\r\n\r\n"), "400", "400"),

    ROW("# NUL", "", "", ""),
    ROW("NUL in a field's name", GET("X\0A: b\r\n"), "400", "400"),
    ROW("NUL before a field's name", GET("\0X-A: b\r\n"), "200 404", "400"),
    ROW("NUL in a value", GET("X-A: b\0c\r\n"), "200 404", "400"),
    ROW("NUL before a value", GET("X-A: \0c\r\n"), "200 404", "400"),
    ROW("NUL in a length",
        POST("Content-Length: 25\0"
             "5\r\n",
             BODY),
        "200 404", "400"),
    ROW("NUL before a length",
        POST("Content-Length: \0"
             "25\r\n",
             BODY),
        "400 400", "400"),
    ROW("NUL in Content-Length's name", POST("Content-Length\0: 25\r\n", BODY), "400", "400"),
    ROW("NUL after chunked", CODED(" chunked\0x"), "200", "400"),
    ROW("NUL before chunked", CODED(" \0chunked"), "400", "400"),
    ROW("NUL in Transfer-Encoding's name, beside a length", SIZED("Transfer-Encoding\0: chunked\r\n"), "400", "400"),
    ROW("NUL in Host", "GET /livez HTTP/1.1\r\nHost: a\0b\r\n\r\n", "200 404", "400"),
    ROW("NUL in the target", "GET /livez\0x HTTP/1.1\r\nHost: a\r\n\r\n", "200 404", ""),
    ROW("NUL in the query", "GET /livez?a=\0b HTTP/1.1\r\nHost: a\r\n\r\n", "200 404", ""),
    ROW("NUL in the method", "GE\0T /livez HTTP/1.1\r\nHost: a\r\n\r\n", "405 404", ""),
    ROW("NUL after the version", "GET /livez HTTP/1.1\0\r\nHost: a\r\n\r\n", "400", ""),
    ROW("a line that begins with NUL, a request after it", GET("\0\r\n" SECOND), "200 404", "400"),
    ROW("NUL in a chunk size", CHUNKED("19\0\r\n" BODY "\r\n0\r\n\r\n"), "400", "400"),
    ROW("NUL in a trailer's name", CHUNKED(HEX "\r\n" BODY "\r\n0\r\nX\0A: b\r\n\r\n"), "400", "400"),
    ROW("a trailer that begins with NUL", CHUNKED(HEX "\r\n" BODY "\r\n0\r\n\0X: b\r\n\r\n"), "200", "400"),
    ROW("NUL in a trailer's value", CHUNKED(HEX "\r\n" BODY "\r\n0\r\nX: a\0b\r\n\r\n"), "200", "400"),

    ROW("# Folded lines", "", "", ""),
    ROW("a folded value", GET("X-A: b\r\n c\r\n"), "200 404", "400"),
    ROW("a value folded by a tab", GET("X-A: b\r\n\tc\r\n"), "200 404", "400"),
    ROW("a folded length", POST("Content-Length: 2\r\n 5\r\n", BODY), "411", "400"),
    ROW("a folded Transfer-Encoding", POST("Transfer-Encoding:\r\n chunked\r\n", HEX "\r\n" BODY "\r\n0\r\n\r\n"),
        "411", "400"),
    ROW("a fold at the first field", "GET /livez HTTP/1.1\r\n Host: a\r\n\r\n", "400", "400"),
    ROW("a fold of white space alone", GET("X-A: b\r\n \r\n"), "200 404", "400"),
    ROW("a fold that looks like a field", SIZED("X-A: b\r\n Transfer-Encoding: chunked\r\n"), "400", "400"),
    ROW("a folded trailer", CHUNKED(HEX "\r\n" BODY "\r\n0\r\nX: a\r\n b\r\n\r\n"), "200", "400"),
    ROW("a fold at the first trailer", CHUNKED(HEX "\r\n" BODY "\r\n0\r\n X: a\r\n\r\n"), "200", "400"),

    ROW("# Fields", "", "", ""),
    ROW("an empty name", GET(": b\r\n"), "200 404", "400"),
    ROW("an empty name in a trailer", CHUNKED(HEX "\r\n" BODY "\r\n0\r\n: b\r\n\r\n"), "200", "400"),
    ROW("space before the colon", GET("X-A : b\r\n"), "400", "400"),
    ROW("tab before the colon", GET("X-A\t: b\r\n"), "400", "400"),
    ROW("space before the colon of a length", POST("Content-Length : 25\r\n", BODY), "400", "400"),
    ROW("space before the colon of Transfer-Encoding, beside a length", SIZED("Transfer-Encoding : chunked\r\n"), "400",
        "400"),
    ROW("space before the colon of a trailer", CHUNKED(HEX "\r\n" BODY "\r\n0\r\nX : b\r\n\r\n"), "200", "400"),
    ROW("no colon", GET("X-A\r\n"), "400", "400"),
    ROW("no colon in a trailer", CHUNKED(HEX "\r\n" BODY "\r\n0\r\nX\r\n\r\n"), "400", "400"),
    ROW("space in a name", GET("X A: b\r\n"), "400", "400"),
    ROW("parentheses in a name", GET("X(A): b\r\n"), "400", "400"),
    ROW("a name of bytes above 127", GET("X\x80: b\r\n"), "400", "400"),
    ROW("vertical tab before a name", GET("\vX: b\r\n"), "400", "400"),
    ROW("control character in a value", GET("X-A: b\x01\r\n"), "400", "400"),
    ROW("DEL in a value", GET("X-A: b\x7f\r\n"), "400", "400"),
    ROW("two Hosts", GET("Host: b\r\n"), "400", "400"),
    ROW("two equal Hosts", GET("host: a\r\n"), "400", "400"),
    ROW("no Host", "GET /livez HTTP/1.1\r\n\r\n", "400", "400"),
    ROW("300 fields", GET(N100 N100 N100), "431", "431"),
    ROW("a value of 40,000 bytes",
        GET("X-A: " A2048 A2048 A2048 A2048 A2048 A2048 A2048 A2048 A2048 A2048 A2048 A2048 A2048 A2048 A2048 A2048
                A2048 A2048 A2048 A2048 "\r\n"),
        "431", "431"),
    ROW("Expect other than 100-continue", SIZED("Expect: tea\r\n"), "417", "417"),

    ROW("# Lengths", "", "", ""),
    ROW("two lengths", POST("Content-Length: 25\r\nContent-Length: 5\r\n", BODY), "400", "400"),
    ROW("two equal lengths", POST("Content-Length: 25\r\nContent-Length: 25\r\n", BODY), "400", "400"),
    ROW("a list of equal lengths", POST("Content-Length: 25, 25\r\n", BODY), "400 400", "400"),
    ROW("an empty length beside a length", POST("Content-Length:\r\nContent-Length: 25\r\n", BODY), "400 400", "400"),
    ROW("an empty length", POST("Content-Length:\r\n", BODY), "400 400", "400"),
    ROW("length +25", POST("Content-Length: +25\r\n", BODY), "400 400", "400"),
    ROW("length -25", POST("Content-Length: -25\r\n", BODY), "400 400", "400"),
    ROW("length 0x19", POST("Content-Length: 0x19\r\n", BODY), "400 400", "400"),
    ROW("length 2 5", POST("Content-Length: 2 5\r\n", BODY), "400 400", "400"),
    ROW("length 25a", POST("Content-Length: 25a\r\n", BODY), "400 400", "400"),
    ROW("length 25.0", POST("Content-Length: 25.0\r\n", BODY), "400 400", "400"),
    ROW("length \"25\"", POST("Content-Length: \"25\"\r\n", BODY), "400 400", "400"),
    ROW("length 2^64 + 25", POST("Content-Length: 18446744073709551641\r\n", BODY), "413 413", "413"),
    ROW("length 2^63", POST("Content-Length: 9223372036854775808\r\n", BODY), "413", "413"),
    ROW("no length of a POST", POST("", ""), "411", "411"),

    ROW("# Transfer-Encoding", "", "", ""),
    ROW("a length, then chunked", POST("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), "400",
        "400"),
    ROW("chunked, then a length", POST("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), "400",
        "400"),
    ROW("chunked twice", POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), "400",
        "400"),
    ROW("chunked, then identity", POST("400", "400"), "400", "400"),
    ROW("identity, then chunked", POST("400", "400"), "400", "400"),
    ROW("chunked, chunked", CODED(" chunked, chunked"), "400", "400"),
    ROW("gzip, chunked", CODED(" gzip, chunked"), "400", "400"),
    ROW("chunked, gzip", CODED(" chunked, gzip"), "400", "400"),
    ROW("gzip", CODED(" gzip"), "400", "400"),
    ROW("identity", CODED(" identity"), "400", "400"),
    ROW("identity beside a length", SIZED("Transfer-Encoding: identity\r\n"), "400", "400"),
    ROW("xchunked", CODED(" xchunked"), "400", "400"),
    ROW("chunkedx", CODED(" chunkedx"), "400", "400"),
    ROW("chunked;q=1", CODED(" chunked;q=1"), "400", "400"),
    ROW("\"chunked\"", CODED(" \"chunked\""), "400", "400"),
    ROW("chunked with a comma", CODED(" chunked,"), "400", "400"),
    ROW("a comma before chunked", CODED(" ,chunked"), "400", "400"),
    ROW("vertical tab before chunked", CODED(" \vchunked"), "400", "400"),
    ROW("an empty value", CODED(""), "400", "400"),
    ROW("an empty value beside a length", SIZED("Transfer-Encoding:\r\n"), "400", "400"),
    ROW("Transfer_Encoding (another name) beside a length", SIZED("Transfer_Encoding: chunked\r\n"), "200 404",
        "200 404"),
    ROW("HTTP/1.0", "POST /predict HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" HEX "\r\n" BODY "\r\n0\r\n\r\n",
        "400", "400"),

    ROW("# Chunks", "", "", ""),
    ROW("size -19", CHUNKED("-19\r\n" BODY "\r\n0\r\n\r\n"), "400", "400"),
    ROW("size +19", CHUNKED("+19\r\n" BODY "\r\n0\r\n\r\n"), "400", "400"),
    ROW("size 0x19", CHUNKED("0x19\r\n" BODY "\r\n0\r\n\r\n"), "400", "400"),
    ROW("space before the size", CHUNKED(" 19\r\n" BODY "\r\n0\r\n\r\n"), "400", "400"),
    ROW("space after the size", CHUNKED("19 \r\n" BODY "\r\n0\r\n\r\n"), "400", "400"),
    ROW("letters after the size", CHUNKED("19z\r\n" BODY "\r\n0\r\n\r\n"), "400", "400"),
    ROW("size 1 9", CHUNKED("1 9\r\n" BODY "\r\n0\r\n\r\n"), "400", "400"),
    ROW("no size", CHUNKED("\r\n" BODY "\r\n0\r\n\r\n"), "400", "400"),
    ROW("no size but an extension", CHUNKED(";a\r\n" BODY "\r\n0\r\n\r\n"), "400", "400"),
    ROW("size 2^64 + 25", CHUNKED("10000000000000019\r\n" BODY "\r\n0\r\n\r\n"), "413", "413"),
    ROW("size 2^64 - 1", CHUNKED("ffffffffffffffff\r\n" BODY "\r\n0\r\n\r\n"), "", ""),
    ROW("size with 255 zeros before it",
        CHUNKED("000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
                "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
                "00000000000000000000000000000000000000000000000000000000000000019\r\n" BODY "\r\n0\r\n\r\n"),
        "200", "200 404"),
    ROW("an extension of 2,000 bytes", CHUNKED("19;" A2048 "\r\n" BODY "\r\n0\r\n\r\n"), "200", "400"),
    ROW("an extension of 10,000 bytes", CHUNKED("19;" A2048 A2048 A2048 A2048 A2048 "\r\n" BODY "\r\n0\r\n\r\n"), "200",
        "400"),
    ROW("an extension with an LF", CHUNKED("19;a\nb\r\n" BODY "\r\n0\r\n\r\n"), "400", "400"),
    ROW("an extension with a CR", CHUNKED("19;a\rb\r\n" BODY "\r\n0\r\n\r\n"), "200", "400"),
    ROW("an extension with a NUL", CHUNKED("19;a\0b\r\n" BODY "\r\n0\r\n\r\n"), "200", "400"),
    ROW("a trailer of Content-Length (ignored)", CHUNKED(HEX "\r\n" BODY "\r\n0\r\nContent-Length: 5\r\n\r\n"), "200",
        "200 404"),
    ROW("a trailer of Host (ignored)", CHUNKED(HEX "\r\n" BODY "\r\n0\r\nHost: b\r\n\r\n"), "200", "200 404"),

    ROW("# Request lines", "", "", ""),
    ROW("HTTP/1.2", "GET /livez HTTP/1.2\r\nHost: a\r\n\r\n", "400", "400"),
    ROW("HTTP/2.0", "GET /livez HTTP/2.0\r\nHost: a\r\n\r\n", "505", "505"),
    ROW("HTTP/0.9", "GET /livez HTTP/0.9\r\nHost: a\r\n\r\n", "505", "505"),
    ROW("no version", "GET /livez\r\nHost: a\r\n\r\n", "400", "400"),
    ROW("http/1.1", "GET /livez http/1.1\r\nHost: a\r\n\r\n", "400", "400"),
    ROW("HTTP/1.10", "GET /livez HTTP/1.10\r\nHost: a\r\n\r\n", "400", "400"),
    ROW("HTTP/01.1", "GET /livez HTTP/01.1\r\nHost: a\r\n\r\n", "400", "400"),
    ROW("HTTP/1,1", "GET /livez HTTP/1,1\r\nHost: a\r\n\r\n", "400", "400"),
    ROW("ICAP/1.1", "GET /livez ICAP/1.1\r\nHost: a\r\n\r\n", "400", "400"),
    ROW("HTTP/1.1x", "GET /livez HTTP/1.1x\r\nHost: a\r\n\r\n", "400", "400"),
    ROW("two spaces before the target", "GET  /livez HTTP/1.1\r\nHost: a\r\n\r\n", "200 404", "400"),
    ROW("two spaces after the target", "GET /livez  HTTP/1.1\r\nHost: a\r\n\r\n", "400", "400"),
    ROW("space after the version", "GET /livez HTTP/1.1 \r\nHost: a\r\n\r\n", "400", "400"),
    ROW("tab in place of a space", "GET\t/livez\tHTTP/1.1\r\nHost: a\r\n\r\n", "", ""),
    ROW("space before the method", " GET /livez HTTP/1.1\r\nHost: a\r\n\r\n", "", ""),
    ROW("space in the target", "GET /li vez HTTP/1.1\r\nHost: a\r\n\r\n", "400", "400"),
    ROW("no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n", "400", "400"),
    ROW("a target without a slash", "GET livez HTTP/1.1\r\nHost: a\r\n\r\n", "400", "400"),
    ROW("a byte above 127 in the target", "GET /livez\x80 HTTP/1.1\r\nHost: a\r\n\r\n", "400", "400"),
    ROW("a control character in the target", "GET /livez\x01 HTTP/1.1\r\nHost: a\r\n\r\n", "400", "400"),
    ROW("absolute-form without a host", "GET http:///livez HTTP/1.1\r\nHost: a\r\n\r\n", "400", "400"),
    ROW("absolute-form with user information", "GET http://u@a/livez HTTP/1.1\r\nHost: a\r\n\r\n", "400", "400"),
    ROW("absolute-form of another scheme", "GET file:///livez HTTP/1.1\r\nHost: a\r\n\r\n", "400", "400"),
    ROW("CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", "400", "400"),
    ROW("a method with @", "G@T /livez HTTP/1.1\r\nHost: a\r\n\r\n", "400", "400"),
    ROW("a method with a quote", "\"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n", "400", "400"),
    ROW("%00 in the path", "GET /livez%00 HTTP/1.1\r\nHost: a\r\n\r\n", "400 404", "400 404"),
    ROW("%2F in the path", "GET /v1%2Fmodels HTTP/1.1\r\nHost: a\r\n\r\n", "400 404", "400 404"),
    ROW("%zz in the path", "GET /livez%zz HTTP/1.1\r\nHost: a\r\n\r\n", "400 404", "400 404"),
    ROW("half an escape in the path", "GET /livez%6 HTTP/1.1\r\nHost: a\r\n\r\n", "400 404", "400 404"),
    ROW("two empty lines before the request", "\r\n\r\n" GET(""), "200 404", ""),
    ROW("white space alone before the request", " \r\n" GET(""), "", ""),
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

static bool is_heading(const struct shape *shape)
{
    return *shape->what == '#';
}

/* The statuses of the answers, such as "200 404", without interim answers. */
static void play(const struct shape *shape, char *found, size_t size)
{
    static char answer[65536];
    int fd = raw_connect(&server);
    raw_send(fd, shape->bytes, shape->n);
    raw_send(fd, SECOND, sizeof SECOND - 1);
    raw_read(fd, answer, sizeof answer, 5000);
    close(fd);
    size_t used = 0;
    *found = 0;
    for (const char *at = answer; (at = strstr(at, "HTTP/1.1 ")) && used + 5 < size; at += 9)
        if ((at == answer || at[-1] == '\n') && at[9] != '1')
            used += (size_t)snprintf(found + used, size - used, "%s%.3s", used ? " " : "", at + 9);
}

static bool is_new(void)
{
    return strverscmp(MHD_get_version(), "0.9.77") >= 0;
}

static void requests_are_answered_as_the_table_says(void **state)
{
    (void)state;
    size_t wrong = 0;
    for (size_t i = 0; i < N_SHAPES; i++) {
        const struct shape *shape = &shapes[i];
        char found[64];
        if (is_heading(shape))
            continue;
        const char *expected = is_new() ? shape->new : shape->old;
        play(shape, found, sizeof found);
        if (!strcmp(found, expected))
            continue;
        print_message("%s: expected %s, found %s\n", shape->what, expected, found);
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

static void print_table(void)
{
    for (size_t i = 0; i < N_SHAPES; i++) {
        char found[64];
        if (!is_heading(&shapes[i]))
            play(&shapes[i], found, sizeof found);
        printf("%s|%s\n", shapes[i].what, is_heading(&shapes[i]) ? "" : found);
    }
}

static int start(void **state)
{
    (void)state;
    daemon_start(&server, small_config(2, 3, ""), NULL);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    return daemon_stop(&server, SIGINT);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(requests_are_answered_as_the_table_says)};
    if (argc < 2 || strcmp(argv[1], "table"))
        return cmocka_run_group_tests(tests, start, stop);
    start(NULL);
    print_table();
    return stop(NULL);
}
