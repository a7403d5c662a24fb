//! Questions about places and their answers, whichever provider gives them.
