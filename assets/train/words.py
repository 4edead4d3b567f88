"""The words that charts speak of, split once and for all into training and test words.

A word belongs to the test split when a checksum of it says so: no list can drift, and no word is in
both. Months, weekdays, quarters, years and the words of questions are closed classes that any chart
uses; they are in both. Made-up names teach reading of words never seen; the two splits build them
from different syllables. A label of several words is held out when one of its words is.
"""

import functools
import re
import zlib

import vocabulary

GROUPS = {
    "country": "Albania Algeria Angola Argentina Armenia Australia Austria Bahrain Bangladesh Belarus Belgium "
    "Bolivia Botswana Brazil Bulgaria Cambodia Cameroon Canada Chad Chile China Colombia Croatia Cuba Cyprus "
    "Denmark Ecuador Egypt Estonia Ethiopia Fiji Finland France Gabon Georgia Germany Ghana Greece Guatemala "
    "Guinea Haiti Honduras Hungary Iceland India Indonesia Iran Iraq Ireland Israel Italy Jamaica Japan Jordan "
    "Kenya Kuwait Laos Latvia Lebanon Libya Lithuania Malawi Malaysia Mali Malta Mexico Moldova Mongolia Morocco "
    "Namibia Nepal Netherlands Niger Nigeria Norway Oman Pakistan Panama Paraguay Peru Philippines Poland Portugal "
    "Qatar Romania Russia Rwanda Senegal Serbia Singapore Slovakia Slovenia Somalia Spain Sudan Sweden Switzerland "
    "Syria Taiwan Tanzania Thailand Togo Tunisia Turkey Uganda Ukraine Uruguay Vietnam Yemen Zambia Zimbabwe",
    "city": "Accra Amsterdam Ankara Athens Baghdad Bangkok Barcelona Beijing Berlin Bern Bogota Boston Brussels "
    "Bucharest Budapest Cairo Chicago Copenhagen Dakar Dallas Delhi Denver Dubai Dublin Geneva Hamburg Hanoi "
    "Havana Helsinki Houston Istanbul Jakarta Karachi Kiev Lagos Lima Lisbon London Lyon Madrid Manila Melbourne "
    "Miami Milan Montreal Moscow Mumbai Munich Nairobi Naples Oslo Paris Perth Porto Prague Quito Rome Seattle "
    "Seoul Seville Shanghai Sofia Stockholm Sydney Tallinn Tokyo Toronto Turin Venice Vienna Warsaw Zurich",
    "food": "Almonds Apples Apricots Avocados Bananas Barley Beans Beef Blueberries Bread Broccoli Butter Cabbage "
    "Carrots Cashews Celery Cheese Cherries Chicken Chocolate Cinnamon Coconuts Coffee Corn Cream Cucumbers Dates "
    "Eggs Figs Fish Flour Garlic Ginger Grapes Ham Hazelnuts Honey Kale Kiwis Lamb Leeks Lemons Lentils Lettuce "
    "Limes Mangoes Melons Milk Mushrooms Mustard Noodles Nuts Oats Olives Onions Oranges Papayas Pasta Peaches "
    "Peanuts Pears Peas Pepper Pineapples Plums Pork Potatoes Prawns Pumpkins Radishes Raisins Rice Rye Salmon "
    "Salt Sausages Soy Spinach Squash Sugar Tea Tofu Tomatoes Tuna Turkey Vanilla Vinegar Walnuts Wheat Yogurt",
    "animal": "Ants Badgers Bats Bears Beavers Bees Bison Camels Cats Cattle Cows Crabs Cranes Crows Deer Dogs "
    "Dolphins Donkeys Doves Ducks Eagles Eels Elephants Falcons Foxes Frogs Geese Giraffes Goats Gorillas Gulls "
    "Hares Hawks Herons Horses Jaguars Kangaroos Koalas Lions Lizards Llamas Lynx Mice Moles Monkeys Moose Otters "
    "Owls Oxen Pandas Parrots Penguins Pigeons Pigs Pumas Rabbits Rats Ravens Seals Sharks Sheep Snails Snakes "
    "Sparrows Spiders Squirrels Swans Tigers Toads Trout Turtles Whales Wolves Yaks Zebras",
    "product": "Backpacks Bags Batteries Beds Bicycles Blankets Boats Books Boots Bottles Boxes Brushes Cables Cameras "
    "Candles Carpets Chairs Clocks Coats Computers Cups Curtains Desks Dishes Doors Drills Drones Engines Fans "
    "Forks Fridges Games Glasses Gloves Guitars Hammers Hats Headphones Helmets Jackets Jeans Keyboards Knives "
    "Ladders Lamps Laptops Lenses Lights Locks Magazines Mirrors Monitors Motors Mugs Needles Ovens Paint Pans "
    "Pencils Pens Phones Pianos Pillows Pipes Plates Printers Pumps Radios Robots Routers Scales Scarves Scooters "
    "Screens Screws Shelves Shirts Shoes Skates Skis Socks Sofas Speakers Spoons Suits Tables Tablets Tents Tires "
    "Tools Towels Toys Trucks Umbrellas Vases Wallets Watches Wheels Windows",
    "sector": "Agriculture Aviation Banking Broadcasting Chemicals Construction Culture Defence Education Energy "
    "Farming Fashion Finance Fishing Forestry Gaming Health Hotels Housing Insurance Justice Labour Logistics "
    "Manufacturing Media Mining Music Pharma Police Printing Publishing Rail Research Retail Science Security "
    "Services Shipping Software Sport Steel Telecom Textiles Theatre Tourism Trade Transport Utilities Waste Water Welfare",
    "material": "Aluminium Amber Bamboo Brass Bronze Cement Ceramics Charcoal Clay Coal Cobalt Copper Cork Cotton "
    "Diamonds Fibre Glass Gold Granite Graphite Gravel Gypsum Hemp Iron Ivory Jute Lead Leather Linen Lithium Marble "
    "Nickel Nylon Oil Paper Petrol Plastic Platinum Quartz Resin Rubber Sand Silicon Silk Silver Slate Steel Stone "
    "Straw Sulphur Tar Timber Tin Titanium Tungsten Uranium Wax Wood Wool Zinc",
    "department": "Accounts Admin Analytics Archive Assembly Audit Billing Canteen Catering Claims Controls Customs "
    "Delivery Design Dispatch Engineering Events Exports Facilities Garden Helpdesk Imports Kitchen Laboratory Legal "
    "Library Maintenance Marketing Office Operations Orders Packaging Payroll Planning Press Procurement Quality "
    "Reception Repairs Safety Sales Service Staffing Stores Strategy Studio Supply Support Testing Training Treasury "
    "Warehouse Workshop",
    "sport": "Archery Badminton Baseball Basketball Biathlon Bowling Boxing Canoeing Chess Climbing Cricket Croquet "
    "Curling Cycling Darts Diving Fencing Football Golf Gymnastics Handball Hiking Hockey Judo Karate Lacrosse "
    "Polo Riding Rowing Rugby Running Sailing Shooting Skating Skiing Snooker Softball Squash Surfing Swimming "
    "Tennis Triathlon Volleyball Walking Wrestling Yoga",
    "language": "Arabic Basque Bengali Breton Catalan Czech Danish Dutch English Finnish French Gaelic German Greek "
    "Gujarati Hausa Hebrew Hindi Hungarian Icelandic Irish Italian Japanese Javanese Kannada Korean Kurdish Latin "
    "Malay Maltese Marathi Nepali Norwegian Persian Polish Portuguese Punjabi Quechua Romanian Russian Sanskrit "
    "Serbian Slovak Somali Spanish Swahili Swedish Tamil Telugu Thai Tibetan Turkish Urdu Uzbek Welsh Yoruba Zulu",
    "person": "Adam Agnes Albert Alice Amir Anna Anton Bella Bruno Carla Carlos Chloe Clara David Diana Edith Elena "
    "Emil Emma Erik Eva Felix Fiona Frank George Grace Greta Hanna Hassan Helen Henry Hugo Ida Igor Ines Ivan Jack "
    "Jane Jonas Julia Karen Karl Laura Leo Lily Louis Lucia Marco Maria Martin Maya Mila Mona Nadia Nina Noah Olga "
    "Oscar Pablo Paula Peter Petra Ravi Rita Robert Rosa Sam Sara Simon Sofia Stefan Tara Theo Tom Uma Vera Victor "
    "Walter Wendy Yara Yusuf Zoe",
    "plant": "Acacia Alder Ash Aspen Beech Birch Cactus Cedar Chestnut Clover Cypress Daisy Elm Fern Fir Hawthorn "
    "Hazel Heather Holly Iris Ivy Jasmine Juniper Larch Laurel Lavender Lilac Lily Lotus Maple Mint Moss Myrtle "
    "Nettle Oak Orchid Palm Pansy Pine Poplar Poppy Reed Rose Rosemary Rowan Sage Spruce Thistle Thyme Tulip Violet "
    "Willow Yew",
    "transport": "Airplanes Ambulances Barges Bikes Buses Cabs Canoes Cars Carts Coaches Cruisers Cycles Ferries "
    "Freighters Gliders Helicopters Kayaks Limousines Lorries Metro Minibuses Mopeds Motorbikes Planes Rickshaws "
    "Rockets Scooters Ships Sleds Submarines Tankers Taxis Tractors Trailers Trains Trams Trolleys Vans Wagons Yachts",
    "energy": "Biofuel Biogas Biomass Coal Diesel Gas Geothermal Hydro Hydrogen Lignite Methane Nuclear Oil Peat "
    "Propane Solar Thermal Tidal Wave Wind",
    "region": "Coast Centre Delta Desert Downtown East Harbour Highlands Hills Island Islands Lakeside Lowlands "
    "Midlands Mountains North Northeast Northwest Outskirts Plains Plateau Riverside South Southeast Southwest "
    "Suburbs Uplands Valley West",
    "answer": "Agree Disagree Always Never Often Rarely Sometimes Daily Weekly Monthly Yearly Excellent Good Fair "
    "Poor Satisfied Unhappy Neutral Unsure Certain Likely Unlikely Important Useful Useless",
}
MONTHS = (
    "January February March April May June July August September October November December"
).split()
SHORT_MONTHS = [m[:3] for m in MONTHS]
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
SHORT_DAYS = [d[:3] for d in DAYS]
SERIES = (
    "Men Women;Boys Girls;Urban Rural;Online Offline;Imports Exports;Public Private;Domestic Foreign;Planned Actual;"
    "Before After;Young Old;Summer Winter;Morning Evening;Buyers Sellers;Income Costs;Revenue Profit;Budget Spent;"
    "Mobile Desktop;Full-time Part-time;Teachers Students;Adults Children;Births Deaths;Arrivals Departures;"
    "Gains Losses;New Used;Fresh Frozen;Red White;Wet Dry;Local Global;Opened Closed;Won Lost;Primary Secondary;"
    "Homes Offices;Members Guests;Low Middle High;Bronze Silver Gold;Small Medium Large;Morning Noon Night;"
    "Spring Summer Autumn Winter;Q1 Q2 Q3 Q4;Class A Class B Class C;Team One Team Two Team Three"
)
MEASURES = (
    "Sales Exports Imports Output Production Consumption Revenue Visitors Users Prices Income Votes Demand Storage "
    "Traffic Spending Budget Orders Deliveries Stocks Waste Usage Profit Losses Costs Emissions Members Tickets "
    "Downloads Complaints Accidents Repairs Hours Staff Wages Rents Yields Harvest Growth Turnover"
).split()
NOUNS = {
    "country": ("country", "countries"),
    "city": ("city", "cities"),
    "food": ("product", "products"),
    "animal": ("animal", "animals"),
    "product": ("product", "products"),
    "sector": ("sector", "sectors"),
    "material": ("material", "materials"),
    "department": ("department", "departments"),
    "sport": ("sport", "sports"),
    "language": ("language", "languages"),
    "person": ("person", "people"),
    "plant": ("plant", "plants"),
    "transport": ("vehicle", "vehicles"),
    "energy": ("source", "sources"),
    "region": ("region", "regions"),
    "answer": ("answer", "answers"),
    "year": ("year", "years"),
    "month": ("month", "months"),
    "day": ("day", "days"),
    "name": ("item", "items"),
    "code": ("code", "codes"),
    "quarter": ("quarter", "quarters"),
    "hour": ("hour", "hours"),
    "size": ("size", "sizes"),
    "group": ("group", "groups"),
}
ADJECTIVES = "New Old Big Small Upper Lower Raw Dry Fresh Royal Grand Mixed Frozen Local Other Cheap Rare Early Late".split()
FILLER = (
    "The figures were collected once a year and checked twice.|Most of the change came late in the period.|"
    "Small differences may be due to rounding.|The survey covered all regions.|Prices are given before taxes.|"
    "No data were available for earlier years.|The trend is expected to continue.|Experts had expected less.|"
    "The report was published in spring.|These numbers include estimates.|Results differ between regions.|"
    "A second survey gave the same picture.|The method has not changed since the first report.|"
    "Weather had little influence this time.|Several partners sent their numbers late."
).split("|")
_SYLLABLES = {
    "train": (
        "ba be bi bo da de di do fa fe fi ga go ha he ka ke ki ko la le li lo ma me mi mo na ne ni no pa pe pi po "
        "ra re ri ro sa se si so ta te ti to va ve vi vo za ze zo bra cre dri flo gra kle plo pri sta stri tre"
    ).split(),
    "test": (
        "bu ce ci cu du fo fu ge gi gu hi ho hu ja je ji jo ju ku lu mu nu pu ru su tu vu wa we wi wo xa xi ya ye yo "
        "zi zu bri cla dro fru gle kra pla pro ski sme spa tru"
    ).split(),
}
_ENDINGS = ["", "", "n", "r", "s", "l", "x", "m", "nd", "rt", "th", "ck", "st"]


def split_of(word):
    """ "test" for one word in eight, "train" for the others."""
    return "test" if zlib.crc32(word.lower().encode()) % 8 == 0 else "train"


@functools.lru_cache(1 << 16)
def is_held_out(word):
    """Whether a word, in lower case, is one of the test split."""
    return split_of(word) == "test"


_POOL = {
    s: {g: [w for w in dict.fromkeys(t.split()) if split_of(w) == s] for g, t in GROUPS.items()}
    for s in ("train", "test")
}


def _library(name, needed):
    """A module that is used to train and not to run; says what is missing."""
    try:
        return __import__(name, fromlist=[needed])
    except ImportError:
        raise SystemExit(
            f"{name.split('.')[0]} is missing: pip install -r requirements.txt"
        ) from None


# Words of long lists that are not for pictures.
_UNFIT = re.compile(
    "fuck|shit|nigg|cunt|rape|rapi|porn|sex|slut|whor|dick|cock|bitch|fag|nazi|hitler|nude|naked|puss|penis|vagin|ass$|tits"
)


@functools.lru_cache(None)
def _names():
    """First and last names."""
    people = _library("faker.providers.person.en_US", "Provider").Provider
    return sorted(
        {n for n in [*people.first_names, *people.last_names] if n.isascii() and n.isalpha()}
    )


@functools.lru_cache(None)
def _common():
    """Frequent English words of 3 to 12 letters, with a capital first letter."""
    listed = _library("wordfreq", "top_n_list").top_n_list("en", 12000)
    listed = [w for w in listed if w.isascii() and w.isalpha() and 3 <= len(w) <= 12]
    return sorted({w.capitalize() for w in listed if not _UNFIT.search(w)})


def frequencies(split):
    """[(word with a capital, weight)] of the frequent words of a split; 1 for the rarest of them."""
    count = _library("wordfreq", "word_frequency").word_frequency
    listed = [w for w in _common() if split_of(w) == split]
    return [(w, max(1.0, (count(w, "en") * 4e6) ** 0.5)) for w in listed] + [
        (n, 2.0) for n in _names_of(split)
    ]


for _text in vocabulary.LABELS.split("==="):
    NOUNS.setdefault(_text.strip().split("|")[0], tuple(_text.strip().split("|")[:2]))
# The words of both splits: what any chart and any question says.
_SAID = [SERIES, vocabulary.SERIES, *FILLER, *(n for pair in NOUNS.values() for n in pair)]
_SAID += vocabulary.COMMON + vocabulary.NUMBERED + vocabulary.LETTERED + MEASURES + ADJECTIVES
_SAID += MONTHS + SHORT_MONTHS + DAYS + SHORT_DAYS
CLOSED = {w.lower() for text in _SAID for w in re.findall("[A-Za-z]{3,}", text)}


def open_words(text):
    """The words of a text, in lower case, that belong to one of the splits."""
    return [w for w in re.findall("[a-z]{3,}", text.lower()) if w not in CLOSED]


def _parts(text):
    return [p.strip() for p in text.replace("\n", ";").split(";") if p.strip()]


def _label_groups():
    """{split: [(group, names)]} of vocabulary.LABELS."""
    found = {"train": [], "test": []}
    for text in vocabulary.LABELS.split("==="):
        noun, _, names = text.strip().split("|", 2)
        for split in found:
            names_of = [n for n in dict.fromkeys(_parts(names)) if _belongs(n, split)]
            if len(names_of) >= 3:
                found[split].append((noun, names_of))
    return found


def _belongs(label, split):
    """Whether a label may be in a split: test needs a held-out word, train has none."""
    return any(map(is_held_out, open_words(label))) == (split == "test")


_GROUPED = _label_groups()


@functools.lru_cache(None)
def _flat(split):
    listed = {w for ws in _POOL[split].values() for w in ws}
    more = {w for w in _names() + _common() if split_of(w) == split and w.lower() not in CLOSED}
    return sorted(listed), sorted(more - listed)


def pool(split, group=None):
    """The words of one split: a group's, or all of the groups."""
    return _POOL[split][group] if group else _flat(split)[0]


def wide_pool(split):
    """Names and frequent English words of one split that are in no group."""
    return _flat(split)[1]


def any_word(rng, split):
    """A word of a group or one of many thousand others."""
    return rng.choice(pool(split) if rng.random() < 0.5 else wide_pool(split))


@functools.lru_cache(None)
def _names_of(split):
    return [n for n in _names() if split_of(n) == split]


def person(rng, split):
    """ "Anna Miller", "A. Miller" or "Miller"."""
    listed = _names_of(split)
    first, last = rng.choice(listed), rng.choice(listed)
    return rng.choice((f"{first} {last}", f"{first} {last}", f"{first[0]}. {last}", last, first))


def company(rng, split):
    """ "Miller Ltd", "Smith & Jones", "Plodira Group"."""
    listed = _names_of(split)
    a = rng.choice(listed) if rng.random() < 0.6 else made_up(rng, split)
    b = rng.choice(listed)
    return rng.choice(
        (
            f"{a} Inc",
            f"{a} Inc.",
            f"{a} Ltd",
            f"{a} & {b}",
            f"{a} Group",
            f"{a} Corp",
            f"{a}-{b}",
            f"{a} LLC",
            f"{a} AG",
        )
    )


def _blend(rng):
    """The beginning of one word to train with and the end of another: "Melberry"."""
    while True:
        a, b = rng.choice(wide_pool("train")), rng.choice(wide_pool("train"))
        if a.isalpha() and b.isalpha() and len(a) > 3 and len(b) > 3:
            name = a[: rng.randint(2, len(a) - 1)] + b[rng.randint(1, len(b) - 2) :].lower()
            if 4 <= len(name) <= 12 and split_of(name) == "train":
                return name.capitalize()


def made_up(rng, split):
    """A name that is in no list, such as "Plodira". Half of those to train with are blends: syllables
    soon are known by heart, and then nobody reads."""
    if split == "train" and rng.random() < 0.5:
        return _blend(rng)
    while True:
        n = rng.choice((2, 2, 2, 3))
        name = "".join(rng.choice(_SYLLABLES[split]) for _ in range(n)) + rng.choice(_ENDINGS)
        if split_of(name) == split:
            return name.capitalize()


def code(rng):
    """A label such as "B7"."""
    return rng.choice("ABCDEFGHKLMNPRSTUVWXYZ") + str(rng.randint(1, 99))


def _ordered(rng, n):
    """Labels with an order of their own, and their group; None where n does not fit."""
    kind = rng.choice(
        (
            "year",
            "year",
            "year",
            "month",
            "short",
            "day",
            "quarter",
            "range",
            "date",
            "date",
            "count",
        )
    )
    if kind == "year":
        step = rng.choice([s for s in (1, 1, 1, 2, 5, 10) if s * n <= 80])
        first = rng.randint(1950, 2030 - step * n)
        form = rng.random()
        if form < 0.06 and step == 1:
            return [f"{first + i}/{(first + i + 1) % 100:02}" for i in range(n)], "year"
        return [str(first + step * i) for i in range(n)], "year"
    if kind == "range":
        return _ranges(rng, n)
    if kind == "date":
        return _dates(rng, n)
    if kind == "count":
        return _counted(rng, n)
    if kind == "quarter":
        return ([f"Q{i + 1}" for i in range(n)], "name") if n <= 4 else None
    names = {"month": MONTHS, "short": SHORT_MONTHS, "day": rng.choice((DAYS, SHORT_DAYS))}[kind]
    if n > len(names):
        return None
    first = rng.randint(0, len(names) - n)
    return names[first : first + n], "day" if kind == "day" else "month"


def _ranges(rng, n):
    """Ages, incomes and other steps: "18-24", "$20k-40k", "65+"."""
    step = rng.choice((5, 10, 10, 15, 20, 25, 50, 100))
    first, dash = rng.choice((0, 0, step, 18 if step == 10 else step)), rng.choice("----–")
    edges = [first + step * i for i in range(n + 1)]
    form = rng.random()
    if form < 0.3 and step >= 10:
        found = [f"${a}k{dash}{b}k" for a, b in zip(edges, edges[1:])]
    elif form < 0.65:
        found = [f"{a}{dash}{b - 1}" for a, b in zip(edges, edges[1:])]
    else:
        found = [f"{a}{dash}{b}" for a, b in zip(edges, edges[1:])]
    if form >= 0.3 and rng.random() < 0.6:
        found[-1] = f"{edges[-2]}+"
    if form >= 0.3 and edges[0] == 0 and rng.random() < 0.4:
        found[0] = f"<{edges[1]}"
    return found, "group"


def _dates(rng, n):
    """Quarters, months and days of years: "Q1 2023", "2023-01", "Jan 2021", "Mar 3"."""
    y, at, kind = rng.randint(1995, 2026), rng.randrange(12), rng.random()
    if kind < 0.35:
        form = rng.choice(("Q{q} {y}", "{y} Q{q}", "Q{q} '{s}", "Q{q}/{s}", "{y}-Q{q}"))
        return [
            form.format(
                q=(at + i) % 4 + 1, y=y + (at % 4 + i) // 4, s=f"{(y + (at % 4 + i) // 4) % 100:02}"
            )
            for i in range(n)
        ], "quarter"
    if kind < 0.8:
        form = rng.choice(
            ("{y}-{k:02}", "{m} {y}", "{m} {y}", "{m} '{s}", "{k:02}/{y}", "{m}-{s}", "{M} {y}")
        )
        found = []
        for i in range(n):
            k, now = (at + i) % 12, y + (at + i) // 12
            found.append(
                form.format(k=k + 1, y=now, s=f"{now % 100:02}", m=SHORT_MONTHS[k], M=MONTHS[k])
            )
        return found, "month"
    step, first, month = rng.choice((1, 1, 2)), rng.randint(1, 6), at + 1
    form = rng.choice(("{m} {d}", "{d} {m}", "{y}-{k:02}-{d:02}", "{k:02}-{d:02}"))
    days = [min(first + step * i, 28) for i in range(n)]
    return [form.format(m=SHORT_MONTHS[at], d=d, y=y, k=month) for d in days], "day"


def _counted(rng, n):
    """ "Week 1", "Group A", "P-101", "8:00": labels that count on."""
    kind, first = rng.random(), rng.randint(1, 3)
    if kind < 0.35:
        word = rng.choice(vocabulary.NUMBERED)
        return [f"{word} {first + i}" for i in range(n)], "name"
    if kind < 0.65 and n <= 12:
        word = rng.choice(vocabulary.LETTERED)
        return [f"{word} {'ABCDEFGHIJKL'[i]}" for i in range(n)], "name"
    if kind < 0.75:
        head, at = rng.choice(("P-", "A-", "ID-", "X", "SKU-", "M-", "T", "S")), rng.choice(
            (1, 10, 101, 201, 1001)
        )
        return [f"{head}{at + i}" for i in range(n)], "code"
    if kind < 0.88 and n <= 12:
        at, step = rng.randint(0, 11), rng.choice((1, 1, 2))
        form = rng.choice(("{h}:00", "{h:02}:00", "{h}h"))
        return [form.format(h=(at + step * i) % 24) for i in range(n)], "hour"
    if n <= 6:
        return ["XS S M L XL XXL".split()[i] for i in range(n)], "size"
    return [chr(65 + i) for i in range(min(n, 26))], "name"


def labels(rng, split, n, ordered=0.3):
    """n different labels for the categories of a chart, and the group that they are of."""
    if rng.random() < ordered:
        found = _ordered(rng, n)
        if found:
            return found
    kind = rng.random()
    if kind < 0.4:
        fits = [(g, names) for g, names in _GROUPED[split] if len(names) >= n]
        if fits:
            group, names = rng.choice(fits)
            return rng.sample(names, n), group
    group = rng.choice(sorted(GROUPS))
    if kind < 0.6 and len(pool(split, group)) >= n:
        return rng.sample(pool(split, group), n), group
    make = rng.choice((made_up, any_word, any_word, _mixed, _two_words, person, company))
    if kind > 0.96:
        make = lambda r, s: code(r)
    found = []
    while len(found) < n:
        word = make(rng, split)
        if word not in found:
            found.append(word)
    return found, "code" if kind > 0.96 else "name"


def _mixed(rng, split):
    return made_up(rng, split) if rng.random() < 0.5 else any_word(rng, split)


def _two_words(rng, split):
    """ "Barley Fields", "Barley fields" or a single word."""
    a, b = any_word(rng, split), any_word(rng, split)
    return rng.choice(
        (
            a,
            f"{a} {b}",
            f"{a} {b.lower()}",
            f"{a}-{b.lower()}",
            f"{a} & {b}",
            f"{a} {rng.randint(1, 20)}",
        )
    )


def absent(rng, split, present):
    """A label that looks like those present and is none of them."""
    while True:
        word = rng.choice(pool(split)) if rng.random() < 0.6 else made_up(rng, split)
        if word not in present:
            return word


_SERIES = [_parts(s) for s in vocabulary.SERIES.replace("\n", "|").split("|") if s.strip()]


def series(rng, split, n):
    """n names of series that belong together, or that do not."""
    kind = rng.random()
    if kind < 0.45:
        fits = [s for s in _SERIES if len(s) == n] or [s for s in _SERIES if len(s) >= n]
        return list(rng.choice(fits))[:n]
    if kind < 0.65:
        fits = [s for s in map(_pairs, SERIES.split(";")) if len(s) >= n]
        return rng.choice(fits)[:n]
    if rng.random() < 0.5:
        first = rng.randint(1990, 2024)
        return [str(first + i) for i in range(n)]
    names, _ = labels(rng, split, n, ordered=0)
    return names


def _pairs(text):
    """ "Class A Class B" to ["Class A", "Class B"]; other words stand alone."""
    words = text.split()
    if words[0] in ("Class", "Team"):
        return [" ".join(words[i : i + 2]) for i in range(0, len(words), 2)]
    return words


def title(rng, split, group):
    """A title that says what, by what and sometimes when."""
    if rng.random() < 0.8:
        return titles.title(rng, split, group)
    while True:
        text = _plain_title(rng, split, group)
        if titles.fits(text, split):
            return text


def _plain_title(rng, split, group):
    """A title of a few words about one of them."""
    measure, other = rng.sample(MEASURES, 2)
    subject = rng.choice(pool(split)) if rng.random() < 0.7 else made_up(rng, split)
    noun = NOUNS[group][0]
    year = rng.randint(1990, 2030)
    forms = (
        f"{subject} {measure.lower()}",
        f"{measure} of {subject}",
        f"{measure} by {noun}",
        f"{measure} by {noun}, {year}",
        f"{subject}: {measure.lower()} by {noun}",
        f"{measure} in {subject}",
        f"{subject} {measure.lower()} {year}",
        f"{measure} per {noun} ({year})",
        f"{subject} report {year}",
        f"{measure} and {other.lower()}",
    )
    return rng.choice(forms)


import titles  # noqa: E402 (it takes the lists above)
