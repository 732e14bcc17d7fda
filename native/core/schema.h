#pragma once

// JSON schemas as grammars, by llama.cpp's own conversion.

#include <string>

// The grammar of the JSON texts that a schema describes. The schema is one that src/answer/form has checked and reduced to what the conversion
// knows: others may be taken for something else. Throws INVALID_ARGUMENT where there is no such grammar.
std::string sd_grammar_of_schema(const std::string & json);
