/** `import 'sondage/auto'` profiles the program as the `SONDAGE_*` variables say. */
export {};
