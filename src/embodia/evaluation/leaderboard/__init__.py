"""The leaderboard: many evaluations on one page, where only what an exact test can tell apart is set in bold.

`entries` reads folders and result files, `board` compares them, `page` draws HTML and CSV.
"""

from embodia.evaluation.leaderboard.board import make_board
from embodia.evaluation.leaderboard.entries import Entry, gather
from embodia.evaluation.leaderboard.page import board_csv, board_page, board_text, write_leaderboard

__all__ = ["Entry", "board_csv", "board_page", "board_text", "gather", "make_board", "write_leaderboard"]
