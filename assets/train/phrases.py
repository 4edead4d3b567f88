"""The sentences of questions. {where} is empty or says which panel or image is meant.

check.py reads questions back with these sentences, so the first names of holes matter: x, y are
categories (or a series in a category), s a series, v a number, colour, t a title, noun(s).
"""

PHRASES = {
    "value": [
        "What is the value of {x}{where}?",
        "What value does {x} have{where}?",
        "How much is {x}{where}?",
        "What is the figure for {x}{where}?",
        "Give the value of {x}{where}.",
        "What number is shown for {x}{where}?",
    ],
    "value_series": [
        "What is the value of {s} in {x}{where}?",
        "What is the value of {s} for {x}{where}?",
        "How much is {s} for {x}{where}?",
        "What value does {x} have for {s}{where}?",
    ],
    "year_of": [
        "When was {x}{where}?",
        "Which year belongs to {x}{where}?",
        "In which year is {x}{where}?",
    ],
    "difference": [
        "What is the difference between {x} and {y}{where}?",
        "By how much do {x} and {y} differ{where}?",
        "How far apart are {x} and {y}{where}?",
    ],
    "difference_series": ["What is the difference between {x} and {y} for {s}{where}?"],
    "gap_series": [
        "What is the difference between {s} and {u} in {x}{where}?",
        "By how much do {s} and {u} differ in {x}{where}?",
    ],
    "sum": [
        "What is the sum of {x} and {y}{where}?",
        "What do {x} and {y} add up to{where}?",
        "How much are {x} and {y} together{where}?",
    ],
    "sum_series": ["What is the sum of {s} and {u} in {x}{where}?"],
    "ratio": ["How many times as large as {y} is {x}{where}?", "{x} is how many times {y}{where}?"],
    "highest": [
        "Which {noun} has the highest value{where}?",
        "Which {noun} is the largest{where}?",
        "Which {noun} has the most{where}?",
        "What is the highest {noun}{where}?",
    ],
    "lowest": [
        "Which {noun} has the lowest value{where}?",
        "Which {noun} is the smallest{where}?",
        "Which {noun} has the least{where}?",
        "What is the lowest {noun}{where}?",
    ],
    "highest_series": [
        "Which {noun} has the highest value for {s}{where}?",
        "In which {noun} is {s} highest{where}?",
    ],
    "lowest_series": [
        "Which {noun} has the lowest value for {s}{where}?",
        "In which {noun} is {s} lowest{where}?",
    ],
    "top_value": ["What is the highest value{where}?", "What is the largest number{where}?"],
    "low_value": ["What is the lowest value{where}?", "What is the smallest number{where}?"],
    "second": [
        "Which {noun} has the second highest value{where}?",
        "Which {noun} comes second{where}?",
    ],
    "order": [
        "List the {nouns} from highest to lowest{where}.",
        "Rank the {nouns} from largest to smallest{where}.",
    ],
    "count": [
        "How many {nouns} are shown{where}?",
        "How many {nouns} are there{where}?",
        "Count the {nouns}{where}.",
    ],
    "count_series": [
        "How many series are shown{where}?",
        "How many groups does the legend have{where}?",
    ],
    "count_above": [
        "How many {nouns} are above {v}{where}?",
        "How many {nouns} have a value over {v}{where}?",
    ],
    "colour": [
        "What color is {x}{where}?",
        "What colour is {x}{where}?",
        "In which color is {x} shown{where}?",
    ],
    "colour_find": [
        "Which {noun} is {colour}{where}?",
        "Which {noun} is shown in {colour}{where}?",
    ],
    "legend": [
        "What color is {s}{where}?",
        "What colour stands for {s}{where}?",
        "In which color is {s} shown{where}?",
    ],
    "legend_find": ["Which series is {colour}{where}?", "What does {colour} stand for{where}?"],
    "title": [
        "What is the title{where}?",
        "What is the title of the chart{where}?",
        "What does the heading say{where}?",
    ],
    "compare": [
        "Is {x} greater than {y}{where}?",
        "Is {x} larger than {y}{where}?",
        "Does {x} have more than {y}{where}?",
    ],
    "less": ["Is {x} less than {y}{where}?", "Is {x} smaller than {y}{where}?"],
    "compare_series": ["Is {s} greater than {u} in {x}{where}?"],
    "panel": [
        "Which panel shows {x}?",
        "In which panel is {x}?",
        "What is the title of the panel with {x}?",
    ],
    "count_panels": ["How many panels are there?", "How many charts are shown?"],
    "which_larger": ['Which is larger, {x} in "{t}" or {y} in "{w}"?'],
    "sum_panels": ['What is the sum of {x} in "{t}" and {y} in "{w}"?'],
    "heading": ["What is the heading of the page?", "What is the dashboard called?"],
    "images_difference": [
        "What is the difference between {x} in the first and in the second image?",
        "By how much does {x} differ between the two images?",
    ],
    "images_higher": ["In which image is {x} higher?", "Which image has the larger value for {x}?"],
    "images_find": ["Which image shows {x}?", "In which image is {x}?"],
    "target": ["Is {x} above its target?", "Did {x} reach more than its target?"],
    "target_gap": [
        "How far is {x} from its target?",
        "What is the difference between {x} and its target?",
    ],
    "read_text": ["Read the text{where}.", "What is written{where}?"],
    "read": [
        "Read the chart{where}.",
        "Transcribe the chart{where}.",
        "Write down what the chart says{where}.",
    ],
}
# The category of an evaluation that each kind of question counts for; "value" depends on the chart.
CATEGORY = {
    "value_series": "value",
    "year_of": "value",
    "difference_series": "difference",
    "gap_series": "difference",
    "sum_series": "sum",
    "highest": "extreme",
    "lowest": "extreme",
    "highest_series": "extreme",
    "lowest_series": "extreme",
    "top_value": "extreme",
    "low_value": "extreme",
    "second": "order",
    "count_series": "count",
    "count_above": "count",
    "colour_find": "colour",
    "legend_find": "legend",
    "less": "compare",
    "compare_series": "compare",
    "count_panels": "panel",
    "which_larger": "across_panels",
    "sum_panels": "across_panels",
    "heading": "title",
    "images_difference": "across_images",
    "images_higher": "across_images",
    "images_find": "across_images",
    "target": "across_text",
    "target_gap": "across_text",
    "read": "transcription",
    "read_text": "transcription",
}
NOT_SHOWN = "not shown"
