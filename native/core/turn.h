#pragma once

// What an answer of a conversation leaves for the next one: the cells of its second looks, its question and the tokens that it wrote,
// behind those of the session's prefix. The next prompt often begins with the same, and is decoded from where it differs.

#include "cells.h"
#include "vision.h"

struct sd_turn {
    sd_cells & cells;
    std::vector<sd_view> looks;
    std::vector<llama_token> tokens; // of question and answer, as far as they have cells
    llama_pos first = 0;             // position of the first of them; each is pos_step behind the one before
    int n_before = 0;                // cells between the prefix and them
    llama_seq_id seq = -1;           // -1: there is nothing

    explicit sd_turn(sd_cells & cells) : cells(cells) {}
    ~sd_turn();
    sd_turn(const sd_turn &) = delete;
    sd_turn & operator=(const sd_turn &) = delete;
};

// frees its sequence; false if it had none
bool sd_turn_forget(sd_turn & turn);

// How many tokens of a prompt with these second looks and this question the turn has, at most all but the last one, whose logits are asked
// for.
size_t sd_turn_common(const sd_turn & turn, const std::vector<sd_view> & looks, const std::vector<llama_token> & question);

// The turn's sequence, cut behind its first n tokens. The caller takes it over.
llama_seq_id sd_turn_take(sd_turn & turn, size_t n);
