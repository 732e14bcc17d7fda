// Self-distillation (SD-RPN, arXiv 2509.16944): the model's own attention becomes labels, and those train its region network.
export { attention, type Attention, type AttentionOptions } from "./attention.js";
