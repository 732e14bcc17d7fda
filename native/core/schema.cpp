#include "schema.h"

#include "error.h"
#include "grammar.h"

#include "json-schema-to-grammar.h"

#include <new>
#include <stdexcept>

std::string sd_grammar_of_schema(const std::string & json) {
    std::string grammar;
    try {
        grammar = json_schema_to_grammar(common_json::parse(json));
    } catch (const std::bad_alloc &) {
        throw;
    } catch (const std::exception & e) {
        std::string what = e.what();
        const std::string begin = "JSON schema conversion failed:\n";
        throw sd_error("INVALID_ARGUMENT", what.rfind(begin, 0) == 0 ? what.substr(begin.size()) : what);
    }
    sd_grammar_check(grammar);
    return grammar;
}
