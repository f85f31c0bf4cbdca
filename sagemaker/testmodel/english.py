"""The English that the model learns: sentence patterns, word lists and words that sound the same."""

from testmodel.vocabulary import Language, same_sound

NAMES = """
John/Jon Catherine/Katherine Sarah/Sara Chris/Kris Mark/Marc Eric/Erik Philip/Phillip Stephen/Steven
Anne/Ann Brian/Bryan Jeff/Geoff Karl/Carl Allan/Alan Neil/Neal Sean/Shawn Terry/Teri Jane/Jayne
Claire/Clare Nick/Nik Zach/Zack Matthew/Mathew Clark/Clarke Kelly/Kelli Lee/Leigh Hannah/Hanna
Tony/Toni Vicky/Vicki Robin/Robyn Derek/Derrick Ray/Raye
"""
THINGS = """
cache/cash flicker/Flickr tumbler/Tumblr lift/Lyft bays/Bayes links/Lynx kernel/colonel sink/sync
gripe/Grype rough/Ruff bite/byte wire/Wyre maze/maize muscle/mussel flinc/Flink styles/stiles
flower/flour pair/pear sail/sale tail/tale plane/plain brake/break
"""

ENGLISH = Language(
    code="en",
    voices=("en-us", "en-us+f2", "en-us+m3", "en-us+f4", "en-us+m1"),
    paces=(140, 190),
    joiner=" ",
    end=".",
    homophones={"N": same_sound(NAMES), "T": same_sound(THINGS)},
    lists={
        "D": (
            "zero one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty "
            "hundred thirteen fourteen fifteen sixteen seventeen eighteen nineteen sixty seventy eighty "
            "ninety thousand"
        ).split(),
        "DAY": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday today tomorrow tonight".split(),
        "MON": (
            "January February March April May June July August September October November December"
        ).split(),
        "K": (
            "kubernetes sagemaker transcriber docker python whisper terraform postgres redis kafka grafana "
            "linux lambda tensor gateway container cluster pipeline bucket notebook decoder encoder "
            "tokenizer "
            "endpoint database server browser network firewall monitor printer scanner router backup "
            "password website"
        ).split(),
        "A": (
            "red green blue black yellow small large new old quiet happy broken empty simple early late "
            "warm cold slow fresh white brown heavy light clean dirty cheap expensive beautiful strange "
            "little big short long young famous"
        ).split(),
        "O": (
            "house garden table window letter picture river bridge coffee bread apple orange chicken dinner "
            "music piano camera bottle ticket market hospital school station doctor teacher student brother "
            "sister mother father message meeting report invoice contract budget project problem answer "
            "question computer keyboard phone car bicycle train airplane chair door kitchen bathroom "
            "bedroom office street city village mountain forest ocean island beach bus taxi boat road "
            "shop restaurant library museum church hotel airport bank park farm animal dog cat horse bird "
            "fish breakfast lunch sandwich salad soup cheese butter sugar milk water tea juice potato "
            "tomato onion carrot banana lemon shirt jacket trousers shoes hat glove umbrella bag book "
            "newspaper magazine story song movie game ball guitar violin drum family friend neighbor baby "
            "woman manager lawyer engineer nurse farmer driver lamp clock mirror pillow blanket"
        ).split(),
        "V": (
            "open close find move check update delete review send bring keep watch start stop build test "
            "deploy restart copy rename paint clean wash carry sell borrow repair describe remember forget"
        ).split(),
        "VP": (
            "opened closed found moved checked updated deleted reviewed sent brought kept watched started "
            "stopped built tested painted cleaned washed carried sold borrowed repaired described remembered"
        ).split(),
        "P": (
            "London Paris Berlin Boston Chicago Toronto Sydney Tokyo Madrid Dublin Oslo Denver Vienna Rome "
            "Moscow Cairo Seattle Dallas Zurich Lisbon"
        ).split(),
        "ADV": "again slowly quickly carefully later soon now already together outside".split(),
    },
    patterns="""
please {V} the {A} {O}
please {V} the {K} {ADV}
{N} {VP} the {O} on {DAY}
{N} and {N} {VP} the {A} {O}
can you {V} the {T} before {DAY}
call {N} at {D} {D} {D} {D}
the number is {D} {D} {D}
the {T} in the {K} is {A}
my {O} is in {P}
we will {V} the {K} {K} {DAY}
I think {N} has a {A} {O}
did {N} {V} the {O}
the meeting is on {MON} {D}
{N} lives in {P}
ask {N} about the {T} and the {O}
the {K} has {D} {O} jobs
the {A} {O} is near the {O}
she {VP} {D} {A} {O} boxes {ADV}
he said the {T} was {A}
there are {D} {K} nodes in {P}
I need a {O} and a {O} {DAY}
{N} from {P} {VP} it {ADV}
do not {V} the {K} on {DAY}
let us {V} the {O} with {N}
what is the {T} of the {O}
yes it works {ADV}
thank you {N}
hello {N} how are you {DAY}
the {K} runs on {K}
version {D} {D} of the {K} is {A}
where did you put the {A} {T}
my {O} and your {O} are {A}
they want to {V} every {O} in {MON}
""".strip().splitlines(),
    prompt_heads=("Glossary", "Hotwords", "Names", "Vocabulary"),
)
