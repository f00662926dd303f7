"""Text front-ends: what turns a written text into symbols."""
