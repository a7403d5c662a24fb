//! What any door can ask of the herd, and what the herd answers.
