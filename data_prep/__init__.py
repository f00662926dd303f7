"""From a corpus as it is published to Lhotse cuts that `SpeechDataModule` reads: one short script for each corpus.

    python -m data_prep.<corpus> RAW OUT        for example  python -m data_prep.ljspeech LJSpeech-1.1 data/ljspeech

Every script finds clips and their texts in its corpus's own layout and hands them to the same three steps:

    layouts / the corpus ─▶ [Clip] ─▶ checks.measure ─▶ trim ─▶ OUT/cuts.jsonl.gz, OUT/validation.jsonl.gz, OUT/report.json

What was left out and why is counted and named in the report; nothing vanishes in silence. `--help` of each script shows an
example. A mistake that you can mend ends with exit code 2 and one line that says where.

Corpora: ljspeech, vctk, libritts, librispeech, custom (your own folder), asterisk_prompts, taught (a local teacher reads your
sentences), synthetic (tiny, for tests). `shar` packs cuts and audio into tar shards for streaming.
pronunciations, verses and phrases make pairs of texts instead, for tasks that write text.
"""
