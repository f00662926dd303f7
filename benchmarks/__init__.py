"""How fast we are beside others: same machine, same run, by turns, medians. Run by hand, where nothing else runs.

    python -m benchmarks.speech      real-time factor and peak memory of a voice, beside Matcha-TTS, F5-TTS and ZipVoice
    python -m benchmarks.house       F5-TTS v1 Base in our house and in its own: a forward, a training step
    python -m benchmarks.training    steps a second of a recipe, and the share of the machine's matrix products that they use

docs/speed.md has what came out.
"""
