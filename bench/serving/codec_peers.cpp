// The C++ libraries that codec.c compares.
#include <charconv>
#include <cstddef>
#include <cstring>
#include <simdjson.h>

using namespace simdjson;

static std::size_t walk(ondemand::array array, float *out, std::size_t n)
{
    for (auto element : array) {
        ondemand::value value = element.value();
        if (value.type() == ondemand::json_type::array)
            n = walk(value.get_array(), out, n);
        else
            out[n++] = (float)(double)value.get_double();
    }
    return n;
}

extern "C" std::size_t peer_simdjson(const char *text, std::size_t bytes, float *out)
{
    static ondemand::parser parser;
    ondemand::document document = parser.iterate(text, bytes, bytes + SIMDJSON_PADDING);
    return walk(document["instances"].get_array(), out, 0);
}

// Reads only the numbers: does not check the JSON syntax, and does not keep the lists.
extern "C" std::size_t peer_from_chars(const char *text, std::size_t bytes, float *out)
{
    const char *end = text + bytes, *at = std::strstr(text, "\"instances\"") + 12;
    std::size_t n = 0;
    while (at < end) {
        if (*at != '-' && (*at < '0' || *at > '9')) {
            at++;
            continue;
        }
        at = std::from_chars(at, end, out[n]).ptr;
        n++;
    }
    return n;
}

extern "C" std::size_t peer_to_chars(const float *values, std::size_t n, std::size_t row, char *out)
{
    char *at = out;
    for (std::size_t i = 0; i < n; i++) {
        *at++ = i % row ? ',' : '[';
        at = std::to_chars(at, at + 24, values[i]).ptr;
        if ((i + 1) % row == 0 || i + 1 == n)
            *at++ = ']';
    }
    return (std::size_t)(at - out);
}
