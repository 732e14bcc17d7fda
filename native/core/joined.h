#pragma once

// Several pictures in front of a model, for answers: [system][picture][between][picture]..., with the family's marks around each. Regions are
// asked of a session of each picture, whose features are taken over.

#include "session.h"

// `between`: the tokens between one picture and the next, one fewer than pictures. Throws INVALID_ARGUMENT.
std::unique_ptr<sd_session> sd_session_joined(
    const std::vector<sd_session *> & pictures, std::vector<llama_token> system, const std::vector<std::vector<llama_token>> & between, sd_timings & t);
