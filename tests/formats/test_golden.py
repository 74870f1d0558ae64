"""Bytes written by the first version of the format: read to these values, written to exactly these bytes, for ever.

The pages of docs/formats show the same bytes.
"""

import math
import re
from pathlib import Path

import pytest

from dsvc.actions.state import Conflict, WorktreeState, decode_state, encode_state
from dsvc.environments import decode_environment, encode_environment, packages_key
from dsvc.models.version import ModelVersion, decode_version, encode_version
from dsvc.objects import codec, packwriter
from dsvc.objects.encodings import Encoding
from dsvc.objects.filemap import Page, Part, decode_page, encode_page
from dsvc.objects.ids import CONTEXTS, CommitId, FileId, Kind, ObjectId, OperationId, content_id, object_id
from dsvc.objects.packindex import NO_BASE, Frame, PackIndex, Place, encode_index, pack_id_of, record
from dsvc.objects.packlist import PackClass, PackList, PackRef, decode_pack_list, encode_pack_list, pack_list_id
from dsvc.objects.packwriter import FOOTER, PackWriter
from dsvc.objects.segment import Segment, SegmentRef, encode_segment, segment_id
from dsvc.objects.sortedmap import Child, Node, decode_node, encode_node
from dsvc.objects.store import ObjectStore
from dsvc.objects.tree import Entry, EntryKind
from dsvc.objects.trees import TREES
from dsvc.objects.values import (
    Commit,
    Operation,
    Person,
    Tag,
    decode_commit,
    decode_operation,
    decode_tag,
    encode_commit,
    encode_operation,
    encode_tag,
)
from dsvc.refs.log import CELL, RepositoryDeletedError, read_head
from dsvc.refs.view import VIEWS, Direct
from dsvc.remotes.bundle_file import BundleBackend, BundleHeader, BundleWriter, Prerequisite
from dsvc.remotes.s3.cells import CellObject, decode_cell
from dsvc.repo.family import Family, FamilyMember, decode_family, encode_family
from dsvc.repo.format import CURRENT, Pointer, decode_format, encode_format, pointing, read_format
from dsvc.repo.gcrecord import GcRecord, change_record, read_record
from dsvc.repo.lineage import Lineage, read_lineage, write_lineage
from dsvc.repo.tombstones import Tombstone, decode_tombstone, encode_tombstone
from dsvc.requests.event import Event, Witness, decode_event, decode_witness, encode_event, encode_witness
from dsvc.runs.names import RunKey
from dsvc.runs.notes import Note, decode_note, encode_note
from dsvc.runs.pins import Pin, Pins, PinState, Seen, StoredFile
from dsvc.runs.record import Run, decode_run, encode_run
from dsvc.runs.series import Point, Series, decode_block, encode_block
from dsvc.storage.local import LocalBackend
from dsvc.storage.memory import MemoryBackend
from dsvc.storage.parts import NAMELESS, decode_parts, encode_parts
from dsvc.storage.parts import Part as BlobPart
from dsvc.worktree.index import DIRECTORY, UNKNOWN, Index, make_block, pack_signature, read_index, write_index
from dsvc.worktree.journal import Journal, begin, read
from tests.formats.environment_value import FULL, SMALL
from tests.formats.wire_bytes import WIRE

PAGES = Path(__file__).parents[2] / "docs" / "formats"

GOLDEN: dict[str, str] = {
    "tombstone": (
        "85a6726561736f6eaa612070617373776f7264a474696d65cf0006474846204000a475736572a3616461a477686174a67075"
        "72676564a47a6f6e653c"
    ),
    "signed tombstone": (
        "88a466696c65c4202222222222222222222222222222222222222222222222222222222222222222a6726561736f6eaa6120"
        "70617373776f7264a97369676e6174757265c41e2d2d2d2d2d424547494e20535348205349474e41545552452d2d2d2d2d0a"
        "a474696d65cf0006474846204000a475736572a3616461a776657273696f6e02a477686174a6707572676564a47a6f6e653c"
    ),
    "family": (
        "82a76d656d626572739394a0a12ec0c394b030313233343536373839616263646566b02e2e2f2e2e2f626f622f766973696f"
        "6ea0c394b066656463626139383736353433323130b02e2e2f2e2e2f6576652f766973696f6eb03031323334353637383961"
        "6263646566c2a776657273696f6e01"
    ),
    "lineage": (
        "84a96f7065726174696f6ec4205555555555555555555555555555555555555555555555555555555555555555a670617265"
        "6e74b12e2e2f2e2e2f7465616d2f766973696f6ea474696d65cf00060a24181e4000a475736572a3626f62"
    ),
    "pointer": (
        "7b2264737663223a20312c202272656164223a205b22706f6f6c2d31225d2c20227772697465223a205b22706f6f6c2d3122"
        "5d2c2022706f6f6c223a20222e2e2f2e2e2f7465616d2f766973696f6e222c20226e616d65223a20222e2e2f2e2e2f626f62"
        "2f766973696f6e227d0a"
    ),
    "deleted head": "9301c0c0",
    "parts": (
        "6473766370617274000000010000000200000000000000100000000000080000"
        "0000000000000000000000000008000017979cfe3d85cd156666666666666666"
        "6666666666666666666666666666666666666666666666660000000000080010"
        "00000000000493e000000000c350000000000000c35493e017979cfe71c4ca00"
        "0000000000000000000000000000000000000000000000000000000000000000"
        "08154baa76c08ff464f2d59baec5a32a50c159ea00290229afc1c56cc533a9e5"
    ),
    "small environment": (
        "84ad646973747269627574696f6e739184a8636f6e74656e7473c42011111111111111111111111111111111111111111111"
        "11111111111111111111a9696e7374616c6c6572a3706970a46e616d65a3736978a776657273696f6ea6312e31372e30a76d"
        "616368696e6581a66b65726e656cab4c696e757820362e312e30a6707974686f6e84a56275696c64ad332e31322e3120286d"
        "61696e29ae696d706c656d656e746174696f6ea763707974686f6ea47461677393a56370333132a56370333132ac6c696e75"
        "785f7838365f3634a776657273696f6ea6332e31322e31a673797374656d82ac617263686974656374757265a67838365f36"
        "34a46e616d65a56c696e7578"
    ),
    "full environment": (
        "89a5636f6e64619186a56275696c64a468315f30a76368616e6e656cab636f6e64612d666f726765a668617368657381a36d"
        "6435d9206161616161616161616161616161616161616161616161616161616161616161a46e616d65a36d6b6ca673756264"
        "6972a86c696e75782d3634a776657273696f6ea6323032342e30ad646973747269627574696f6e739584a9696e7374616c6c"
        "6572a3706970a46e616d65a86665617475726573a6736f7572636587a76368616e676564c3a6636f6d6d6974d92832323232"
        "323232323232323232323232323232323232323232323232323232323232323232323232a46b696e64a86564697461626c65"
        "a57061746368c4203333333333333333333333333333333333333333333333333333333333333333a672656d6f7465be7373"
        "683a2f2f676974406578616d706c652e6f72672f6665617475726573a375726cb466696c653a2f2f2f7372762f6665617475"
        "726573a3766373a3676974a776657273696f6ea3302e3384a46e616d65a56d6f64656ca8726571756972657392a56e756d70"
        "79a3736978a6736f7572636582a46b696e64a86564697461626c65a470617468a3737263a776657273696f6ea3312e3087a8"
        "636f6e74656e7473c4204444444444444444444444444444444444444444444444444444444444444444a9696e7374616c6c"
        "6572a27576a76c6963656e7365ac4253442d332d436c61757365a46e616d65a56e756d7079a9726571756573746564c3a776"
        "657273696f6ea5322e322e33a5776865656c91d92163703331322d63703331322d6d616e796c696e75785f325f31375f7838"
        "365f363485a8636f6e74656e7473c4201111111111111111111111111111111111111111111111111111111111111111a969"
        "6e7374616c6c6572a3706970a46e616d65a3736978a6736f7572636583a668617368657381a6736861323536d94035353535"
        "3535353535353535353535353535353535353535353535353535353535353535353535353535353535353535353535353535"
        "35353535353535353535a46b696e64a761726368697665a375726cd92766696c653a2f2f2f7372762f7369782d312e31372e"
        "302d7079332d6e6f6e652d616e792e77686ca776657273696f6ea6312e31372e3084a8636f6e74656e7473c4206666666666"
        "666666666666666666666666666666666666666666666666666666a46e616d65a5746f6f6c73a6736f7572636586a6636f6d"
        "6d6974d92837373737373737373737373737373737373737373737373737373737373737373737373737373737a46b696e64"
        "a3766373a9726571756573746564a476322e31ac7375626469726563746f7279a6707974686f6ea375726cbb7373683a2f2f"
        "676974406578616d706c652e6f72672f746f6f6c73a3766373a3676974a776657273696f6ea3322e31a76d616368696e6586"
        "a5636f72657308a3637075a54120435055a6647269766572b06e7669646961203535302e35342e3134a46770757391a54120"
        "475055a66b65726e656cab4c696e757820362e312e30a66d656d6f7279cd7d00a86d6574616461746181a36b6579a576616c"
        "7565a56e6f74657391d92f746f6f6c7320686173206e6f205245434f52442c20736f206974732066696c657320617265206e"
        "6f74206b6e6f776ea6707974686f6e84a56275696c64ba332e31322e3120286d61696e29205b4743432031322e322e305dae"
        "696d706c656d656e746174696f6ea763707974686f6ea47461677393a56370333132a56370333132ac6c696e75785f783836"
        "5f3634a776657273696f6ea6332e31322e31a472656673919201c42033333333333333333333333333333333333333333333"
        "33333333333333333333a673797374656d88ab616363656c657261746f7281a6637564617274a831322e342e313237ac6172"
        "63686974656374757265a67838365f3634a9636f6e7461696e657283a6646967657374d9477368613235363a393939393939"
        "3939393939393939393939393939393939393939393939393939393939393939393939393939393939393939393939393939"
        "3939393939393939a6656e67696e65a6706f646d616ea5696d616765b36578616d706c652e6f72672f747261696e3a31a46c"
        "696263aa676c69626320322e3336a96c696272617269657381b46c6962707974686f6e332e31322e736f2e312e30c4208888"
        "888888888888888888888888888888888888888888888888888888888888a46e616d65a56c696e7578a87061636b61676573"
        "9294a86c6962676f6d7031a931322e322e302d3134a5616d643634a76d6f64756c657394a67a6c69623167a3312e32a5616d"
        "643634a6707974686f6ea772656c65617365a964656269616e203132a97661726961626c657382a94150495f544f4b454ec0"
        "af4f4d505f4e554d5f54485245414453a134"
    ),
    "bundle": (
        "6473766362646c310000008584a56e6565647391a6626173652d31ad707265726571756973697465739192c4202222222222"
        "222222222222222222222222222222222222222222222222222222a56669727374a4726566739193aa68656164732f6d6169"
        "6e05c4201111111111111111111111111111111111111111111111111111111111111111a776657273696f6e016120706163"
        "6b61206c69737482a5626c6f62739293d9466c697374732f3434343434343434343434343434343434343434343434343434"
        "3434343434343434343434343434343434343434343434343434343434343434343434343434cc970693d9467061636b732f"
        "3333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333"
        "3333333333333333333333333333cc9106a563656c6c739292a6666f726d6174c402660a92a468656164c401680000000000"
        "00009d00000000000000bc131e156bf9183eeaec3fe6ad014466bc514b47c35b32a31c5f9058e6e6b7c868"
    ),
    "segment": (
        "64737663736567310000000100000000000000024a4f3073f17493744cd6059cd930b36bfa59876323d42c75f84286e1112d"
        "69c80100000000000000cc000000000000001a0000000000000002647376636964783101000000000102030405060708090a"
        "0b0c0d0e0f00000001000000000000000200000000000000100000000a0000000affffffff000000008e4c7c1b99dbfd50e7"
        "a95185fead5ee1448fa904a2fdd778eaf5f2dbfd629a9901000000000000000000000006be9a8ee3f047b38994215f103128"
        "175bd1333efd1ac0a3bbda9cb26749205ccb010000000000000006000000048e4c7c1b99dbfd500000000000000000be9a8e"
        "e3f047b3890000000000000001"
    ),
    "folded pack list": (
        "87a9636f6e64656d6e656490a4676f6e6590a57061636b739195c42088888888888888888888888888888888888888888888"
        "8888888888888888888801ccf41a02a870726576696f7573c420aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaa87265706c6163656490a7726574697265649194c420bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
        "bbbbbbbbbbbbbbbbbbbbbbbbcd01f40307a87365676d656e74739194c4206b4049667e482159f098c732e8c5a0d774131e94"
        "deb8dd94b728748bda0fe7dccd01070102"
    ),
    "sealed blob": (
        "64737663656e6331c406c156be7702ed99ba344a1fc11dc7651997d0b955371afdc658992bf7717e0687907c3edf12be"
        "845d14a7030546230a8eb32858bd"
    ),
    "sealed cell": (
        "64737663656e63311111111111111111111111111111111111111111111111111111111111111111dab9396e478487e2"
        "9ab03950b9d4d868ad11a708a0"
    ),
    "slots": (
        "6473766320656e6372797074696f6e20310a9288a5626c6f636b08a4636f73740aa46b696e64a6736372797074a56c61"
        "62656ca3616461a56c616e657301a66c6f636b6564c4303f5a5630b0cdeedd1a29305119f4fddd2d2126b59cf5c94de1"
        "7ffbc26fc8407cc5fda46f172b8e1347ba1589fc9b6192a66e756d62657201a473616c74c42022222222222222222222"
        "2222222222222222222222222222222222222222222285a46b696e64a86b65792d66696c65a56c6162656ca56275696c"
        "64a66c6f636b6564c43038c89e327b9345772964641cbb3bfc0811c66d6c63131e9519be3b6035d90006970514162382"
        "503827dcd96c1ee8a2eba66e756d62657202a473616c74c4202222222222222222222222222222222222222222222222"
        "222222222222222222"
    ),
    "value": (
        "87a5617272617993c0c3c2a56279746573c40200ffa5666c6f6174cb3ff8000000000000a8696e74656765727397007f"
        "cc80e0d0dfcfffffffffffffffffd38000000000000000a56c61726765c7140131383434363734343037333730393535"
        "31363136a36e616ecb7ff8000000000000a474657874a2c3a9"
    ),
    "tree": (
        "9900c406524541444d459301c4208e4c7c1b99dbfd50e7a95185fead5ee1448fa904a2fdd778eaf5f2dbfd629a9906c4"
        "046c696e6b9303c42061feb06961b9b6b9f1ab6b3816a4707cd569b8a63b8ff8e7348ac1414ec3518e06c40672756e2e"
        "73689302c420bc1f407a11c9377c8b9b13f956b279c8462775105eb958fc9ae3c40de87cc96e0ac4037375629305c414"
        "111111111111111111111111111111111111111100"
    ),
    "empty tree": "9100",
    "inner node": (
        "9501c408303939392e6a706793c420aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaacd"
        "01f4ce00011170c408313939392e6a706793c420bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
        "bbbbbbbb0ccd012c"
    ),
    "commit": (
        "85a6617574686f7294a3416461af616461406578616d706c652e6f7267cf00060a24181e40003ca9636f6d6d69747465"
        "7294a3416461af616461406578616d706c652e6f7267cf00060a24181e40003ca76d657373616765a666697273740aa7"
        "706172656e747390a474726565c42071bc815d73dd5ebbd1402e32738057a0e8263dca55d39c73e77b5c4bfc0724e8"
    ),
    "full commit": (
        "89a6617574686f7294a3416461af616461406578616d706c652e6f7267cf00060a24181e40003ca9636f6d6d69747465"
        "7294a3426f74a0cf00060a24182d8240d1feb6ab656e7669726f6e6d656e74c420333333333333333333333333333333"
        "3333333333333333333333333333333333a76d657373616765aa616c6c206669656c6473a86d6574616461746181a36b"
        "6579a576616c7565a7706172656e747392c420bcd557602d67534b14676060c6e6e5bdb1430bd39dc8485ca4b35ddec0"
        "a095c4c4202222222222222222222222222222222222222222222222222222222222222222a472756e7391c420444444"
        "4444444444444444444444444444444444444444444444444444444444a97369676e6174757265c4097369676e617475"
        "7265a474726565c42071bc815d73dd5ebbd1402e32738057a0e8263dca55d39c73e77b5c4bfc0724e8"
    ),
    "tag": (
        "85a46b696e6405a76d657373616765ae66697273742072656c656173650aa46e616d65a27631a674616767657294a341"
        "6461af616461406578616d706c652e6f7267cf00060a24181e40003ca6746172676574c420bcd557602d67534b146760"
        "60c6e6e5bdb1430bd39dc8485ca4b35ddec0a095c4"
    ),
    "view": (
        "9500c40a68656164732f6d61696e930105c420bcd557602d67534b14676060c6e6e5bdb1430bd39dc8485ca4b35ddec0"
        "a095c4c412776f726b74726565732f6f6e652f484541449202aa68656164732f6d61696e"
    ),
    "operation": (
        "8aa7636f6d6d616e6493a6636f6d6d6974a22d6da56669727374ab6465736372697074696f6ea56669727374a4686f73"
        "74a3626f78a7706172656e747391c4205555555555555555555555555555555555555555555555555555555555555555"
        "a474696d65cf00060a24183cc480a475736572a3616461a476657262a6636f6d6d6974a476696577c420e6924b4c1b51"
        "a56f83944273436afbd45d8f5d7828662bd836b583e562df200aa8776f726b74726565a36f6e65a47a6f6e653c"
    ),
    "map page": (
        "9300c4406666666666666666666666666666666666666666666666666666666666666666777777777777777777777777"
        "777777777777777777777777777777777777777792ce00010000ce00030d41"
    ),
    "index": (
        "647376636964783101000000000102030405060708090a0b0c0d0e0f0000000100000000000000020000000000000010"
        "0000000a0000000affffffff000000008e4c7c1b99dbfd50e7a95185fead5ee1448fa904a2fdd778eaf5f2dbfd629a99"
        "01000000000000000000000006be9a8ee3f047b38994215f103128175bd1333efd1ac0a3bbda9cb26749205ccb010000"
        "00000000000600000004"
    ),
    "pack list": (
        "84a9636f6e64656d6e656491c4209999999999999999999999999999999999999999999999999999999999999999a570"
        "61636b739195c420888888888888888888888888888888888888888888888888888888888888888801ccf41a02a87072"
        "6576696f7573c420aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa87265706c616365"
        "649192c420999999999999999999999999999999999999999999999999999999999999999991c4208888888888888888"
        "888888888888888888888888888888888888888888888888"
    ),
    "head": (
        "9301c4200cef1eb24e74eff6e2a2b610508432af2181ec0838daf64dfb535e8d740fd442c420aa6f3612332f663edc69"
        "767cdf99f0fb568fbe8a7ddfe0d7fb599ee689fff18a"
    ),
    "format": (
        "7b2264737663223a20312c202272656164223a205b22626173652d31225d2c20227772697465223a205b22626173652d31225d7d0a"
    ),
    "pack": (
        "647376637061636b000101000000000068656c6c6f0a0a0a0a0a64737663696478310100000000010203040506070809"
        "0a0b0c0d0e0f00000001000000000000000200000000000000100000000a0000000affffffff000000008e4c7c1b99db"
        "fd50e7a95185fead5ee1448fa904a2fdd778eaf5f2dbfd629a9901000000000000000000000006be9a8ee3f047b38994"
        "215f103128175bd1333efd1ac0a3bbda9cb26749205ccb01000000000000000600000004000000000000001a00000000"
        "0000009a647376637061636b"
    ),
    "cell 1": (
        "422f6e3f0e41a3b950b237972c4752b27ff7bb52b937c169517516ccd98bf03eaf1349b9f5f9a1a6a0404dea36dcc949"
        "9bcb25c9adc112b7cc9a93cae41f32626f6e65"
    ),
    "cell 2": (
        "f7df4ac34636976ae20ec3207c76308e57300e66efb72998869f7f8a197f02f3d33fb48ab5adff269ae172b29a6913ff"
        "04f6f266207a7a8e976f2ecd571d449274776f"
    ),
    "bucket cell": (
        "9e45d29199188420c92ce55e2d8f727fd5bc039301c2844037c05cc5e616a38b0102000102030405060708090a0b0c0d"
        "0e0f222222222222222222222222222222221111111111111111111111111111111174776f"
    ),
    "working index": (
        "6473766377726b31d3e4306debbb6d396b2c9729303236318d31cdf7afd7e5cea956f3343a1cd1be9a01c42071bc815d"
        "73dd5ebbd1402e32738057a0e8263dca55d39c73e77b5c4bfc0724e8cf17979cfee8fa5e0091c4052f64617461c400c4"
        "0b524541444d450064617461c448060000000000000000002a36fe9c971700cac471fe9c97176300000000000000a481"
        "0000000000000000000000000000000000000000000000000000000000000000000000400000c40464617461c40178c4"
        "240000000000000000ffffffffffffffffffffffffffffffff000000000000000000000000"
    ),
    "journal": (
        "9601c42071bc815d73dd5ebbd1402e32738057a0e8263dca55d39c73e77b5c4bfc0724e8c42011111111111111111111"
        "11111111111111111111111111111111111111111111c40c000102030405060708090a0bcd1267a3626f78"
    ),
    "gc": (
        "82a363757491c4205555555555555555555555555555555555555555555555555555555555555555a47365656e9192c4"
        "209999999999999999999999999999999999999999999999999999999999999999cf00060a24185b4900"
    ),
    "model": (
        "8ba26964c4208e4c7c1b99dbfd50e7a95185fead5ee1448fa904a2fdd778eaf5f2dbfd629a99a46b696e6401a46e616d65a5"
        "636875726ea470617468c4096d6f64656c2e706b6ca472656673919201c4208e4c7c1b99dbfd50e7a95185fead5ee1448fa9"
        "04a2fdd778eaf5f2dbfd629a99a473697a6506a474696d65cf00060a24181e4000a475736572b5416461203c616461406578"
        "616d706c652e6f72673ea776657273696f6e01a477686174a56d6f64656ca47a6f6e653c"
    ),
    "full model": (
        "de0015a6636f6d6d6974c420bcd557602d67534b14676060c6e6e5bdb1430bd39dc8485ca4b35ddec0a095c4ab6465736372"
        "697074696f6eaa616c6c206669656c6473ab656e7669726f6e6d656e74c42033333333333333333333333333333333333333"
        "33333333333333333333333333a96672616d65776f726ba7736b6c6561726eb16672616d65776f726b5f76657273696f6ea5"
        "312e392e30a26964c42071bc815d73dd5ebbd1402e32738057a0e8263dca55d39c73e77b5c4bfc0724e8a46b696e6404a86d"
        "6574616461746181a7636c617373657302a76d65747269637381a3616363cb3fedc28f5c28f5c3a46e616d65aa7465616d2f"
        "636875726ea6706172616d7381a26c72cb3fb999999999999aa470617468c4096f75742f6d6f64656ca472656673929204c4"
        "2071bc815d73dd5ebbd1402e32738057a0e8263dca55d39c73e77b5c4bfc0724e8920bc42033333333333333333333333333"
        "33333333333333333333333333333333333333a372756ec410018bcfe5680001010101010101010101a672756e5f6964c420"
        "4444444444444444444444444444444444444444444444444444444444444444a473697a6506a474696d65cf00060a24181e"
        "4000a475736572b5416461203c616461406578616d706c652e6f72673ea776657273696f6e0ca477686174a56d6f64656ca4"
        "7a6f6e653c"
    ),
    "run": (
        "8da9617574686f72697479a8776f726b6c6f6164a7636f6d6d616e6494a6707974686f6ea8747261696e2e7079a42d2d6c72"
        "a3302e31a3656e64cf00060a24184465a0a9657869745f636f646500a6696e7075747384a5636f756e7401a4726f77739196"
        "c40161010201c4208e4c7c1b99dbfd50e7a95185fead5ee1448fa904a2fdd778eaf5f2dbfd629a9906a473697a6506a47472"
        "6565c42071bc815d73dd5ebbd1402e32738057a0e8263dca55d39c73e77b5c4bfc0724e8a36b6579c410018bcfe568000101"
        "0101010101010101a6706172616d7381a26c72cb3fb999999999999aa472656673919204c42071bc815d73dd5ebbd1402e32"
        "738057a0e8263dca55d39c73e77b5c4bfc0724e8a6736f75726365c42071bc815d73dd5ebbd1402e32738057a0e8263dca55"
        "d39c73e77b5c4bfc0724e8a57374617274cf00060a24181e4000a475736572b5416461203c616461406578616d706c652e6f"
        "72673ea477686174a372756ea47a6f6e653c"
    ),
    "full run": (
        "de0020a9617574686f72697479a8776f726b6c6f6164a462617365c420bcd557602d67534b14676060c6e6e5bdb1430bd39d"
        "c8485ca4b35ddec0a095c4a7636f6d6d616e6492a72e2f747261696ec401ffab6465736372697074696f6eaa616c6c206669"
        "656c6473a96469726563746f7279c403737263a3656e64cf00060a24181e6328ab656e7669726f6e6d656e74c42033333333"
        "33333333333333333333333333333333333333333333333333333333a56572726f72a64b696c6c6564a6696e7075747384a5"
        "636f756e7465a473697a65cd025ea57461626c6592c420777777777777777777777777777777777777777777777777777777"
        "7777777777ce000493e0a474726565c42071bc815d73dd5ebbd1402e32738057a0e8263dca55d39c73e77b5c4bfc0724e8a3"
        "6b6579c410018bcfe5680102020202020202020202a66c6162656c7381a46b696e64a8626173656c696e65a46c6f677381a6"
        "73746465727292c4208e4c7c1b99dbfd50e7a95185fead5ee1448fa904a2fdd778eaf5f2dbfd629a9906a46c6f7374c3a76d"
        "616368696e6581a4686f7374a3626f78a86d6574616461746181a36b6579a576616c7565a76d65747269637382a3616363cb"
        "3fedc28f5c28f5c3a36e616ecb7ff0000000000000a46e616d65a8626173656c696e65ab6f62736572766174696f6e82a572"
        "65616473a6707974686f6ea6777269746573a8636f6d7061726564a76f75747075747383a5636f756e7403a4726f77739393"
        "c4062f746d702f62030196c40161020a01c4208e4c7c1b99dbfd50e7a95185fead5ee1448fa904a2fdd778eaf5f2dbfd629a"
        "990693c404676f6e650308a473697a6506a6706172616d7384a3626967c71601313138303539313632303731373431313330"
        "33343234a4666c6167c3a46e616d65a178a66e657374656481a46c6973749201c0a6706172656e74c410018bcfe568000101"
        "0101010101010101a472656673969201c4206666666666666666666666666666666666666666666666666666666666666666"
        "9201c4208e4c7c1b99dbfd50e7a95185fead5ee1448fa904a2fdd778eaf5f2dbfd629a999202c42077777777777777777777"
        "777777777777777777777777777777777777777777779204c42071bc815d73dd5ebbd1402e32738057a0e8263dca55d39c73"
        "e77b5c4bfc0724e89205c420bcd557602d67534b14676060c6e6e5bdb1430bd39dc8485ca4b35ddec0a095c4920bc4203333"
        "333333333333333333333333333333333333333333333333333333333333a97265736f757263657383aa6370755f73797374"
        "656d02a86370755f7573657201ab7065616b5f6d656d6f727903a67365726965739198a46c6f737303cb3fd0000000000000"
        "cb3fd0000000000000cb3ff0000000000000020063ab7365726965735f66696c6592c4206666666666666666666666666666"
        "66666666666666666666666666666666666663a67369676e616c09a6736f75726365c42071bc815d73dd5ebbd1402e327380"
        "57a0e8263dca55d39c73e77b5c4bfc0724e8a57374617274cf00060a24181e43e8a475736572b5416461203c616461406578"
        "616d706c652e6f72673ea97661726961626c657381a453454544a131a477686174a372756ea47a6f6e653c"
    ),
    "run comment": (
        "86a372756ec410018bcfe5680001010101010101010101a474657874a4676f6f64a474696d65cf00060a24181e4000a47573"
        "6572b5416461203c616461406578616d706c652e6f72673ea477686174a7636f6d6d656e74a47a6f6e653c"
    ),
    "run labels": (
        "86a66c6162656c7382a46b696e64a462657374a36f6c64c0a372756ec410018bcfe5680001010101010101010101a474696d"
        "65cf00060a24181e4000a475736572b5416461203c616461406578616d706c652e6f72673ea477686174a66c6162656c73a4"
        "7a6f6e653c"
    ),
    "run removal": (
        "86a372756ec410018bcfe5680001010101010101010101a474657874a961206d697374616b65a474696d65cf00060a24181e"
        "4000a475736572b5416461203c616461406578616d706c652e6f72673ea477686174a772656d6f76616ca47a6f6e653c"
    ),
    "series block": (
        "00000055939201c4180000000000000000010000000000000001000000000000009201c41800401e18240a06000a00000000"
        "0000000f000000000000009202c418000000000000f03f000000000000e03f000000000000d03f"
    ),
    "state": (
        "8ca5617369646590a9636f6e666c696374739196c406524541444d45a7636f6e74656e74c09301c4208e4c7c1b99dbfd"
        "50e7a95185fead5ee1448fa904a2fdd778eaf5f2dbfd629a99069301c42002b311e40a171fde5a76feef7afa29768d00"
        "68867cb0672d17a24b70710709130791c406524541444d45a5657874726180a5686561647391c4202222222222222222"
        "222222222222222222222222222222222222222222222222a66d6572676564c42071bc815d73dd5ebbd1402e32738057"
        "a0e8263dca55d39c73e77b5c4bfc0724e8a76d657373616765ab4d6572676520736964650aa86f726967696e616cc420"
        "bcd557602d67534b14676060c6e6e5bdb1430bd39dc8485ca4b35ddec0a095c4a472656673959205c420222222222222"
        "22222222222222222222222222222222222222222222222222229205c420bcd557602d67534b14676060c6e6e5bdb143"
        "0bd39dc8485ca4b35ddec0a095c49204c42071bc815d73dd5ebbd1402e32738057a0e8263dca55d39c73e77b5c4bfc07"
        "24e89201c4208e4c7c1b99dbfd50e7a95185fead5ee1448fa904a2fdd778eaf5f2dbfd629a999201c42002b311e40a17"
        "1fde5a76feef7afa29768d0068867cb0672d17a24b7071070913a57374617368c0a4746f646f90a7746f756368656491"
        "c406524541444d45a476657262a56d65726765"
    ),
    **WIRE,
    "request": (
        "88a6617574686f7294a3416461af616461406578616d706c652e6f7267cf00060a24181e40003ca6636f6d6d6974c420"
        "bcd557602d67534b14676060c6e6e5bdb1430bd39dc8485ca4b35ddec0a095c4a56576656e74a46f70656ea6736f7572"
        "6365a6666173746572a6746172676574aa68656164732f6d61696ea474657874af48616c66207468652074696d652e0a"
        "a57469746c65ac4c6561726e20666173746572a477686174a772657175657374"
    ),
    "approval": (
        "87a5616674657291c4201003e92812127a3068c0ab7497c5bb1a6ae2a6d69adddfc195210ed057cc49b3a6617574686f"
        "7294a3426f74a0cf00060a24182d8240d1feb6a6636f6d6d6974c420bcd557602d67534b14676060c6e6e5bdb1430bd3"
        "9dc8485ca4b35ddec0a095c4a56576656e74a7617070726f7665a772657175657374c4201003e92812127a3068c0ab74"
        "97c5bb1a6ae2a6d69adddfc195210ed057cc49b3a97369676e6174757265c4097369676e6174757265a477686174a772"
        "657175657374"
    ),
    "witness": (
        "86a76163636f756e74a3626f62a56576656e74c420c897ff7cd4f159b399ccdb368a38b708d1a3ba25e49cc69e11307e"
        "68979b80e1a36b6579aa5348413235363a6b6579a474696d65cf00060a24184c06c0a477686174a77769746e657373a4"
        "7a6f6e653c"
    ),
}
IDS: dict[str, str] = {
    "small environment": "a2c1a43c550c61c552264c72ee3735368aa678a11deaab83836035ef132c3231",
    "full environment": "bf6db33c65d20f4d34bcf48568dce22598ec416c855cb078abc13716194e7c29",
    "small environment's packages": "9efbeb812ee62a10bb5ad6a9e432b8f38ba687eedf8d87c48108e5ebf710ab2c",
    "full environment's packages": "e3d78fb8b4df3d0e4166b38fff7f81750bcec59367f9c47d1ebfde1eb28e2f20",
    "request": "1003e92812127a3068c0ab7497c5bb1a6ae2a6d69adddfc195210ed057cc49b3",
    "approval": "c897ff7cd4f159b399ccdb368a38b708d1a3ba25e49cc69e11307e68979b80e1",
    "segment": "6b4049667e482159f098c732e8c5a0d774131e94deb8dd94b728748bda0fe7dc",
    "folded pack list": "124443623e0ee7318a8578f0a7eb4a785cd02549c32e9777f2c13288ce7bc655",
    "tree": "71bc815d73dd5ebbd1402e32738057a0e8263dca55d39c73e77b5c4bfc0724e8",
    "empty tree": "ac76122d7bc42c957a67e5fd51cdeecbaf7ec98443744f9f3e7c95fceaee43a2",
    "inner node": "ac4eaff551d55549f2065a8a57fc745c630b2932739ff4b67c73327fac0951fa",
    "commit": "bcd557602d67534b14676060c6e6e5bdb1430bd39dc8485ca4b35ddec0a095c4",
    "full commit": "43b2f1c553e62ba1f9b45800e294a44dd4c58685942e292cdb27487c1ccbe560",
    "tag": "ca57e6043cfa2973b73a3d230bd6e2ad01dfe021f49f0a534745ed72aa52f3f6",
    "view": "e6924b4c1b51a56f83944273436afbd45d8f5d7828662bd836b583e562df200a",
    "operation": "0cef1eb24e74eff6e2a2b610508432af2181ec0838daf64dfb535e8d740fd442",
    "map page": "d9a6fc7a1c570327697b64cadfa17a776c4b9dcece5706f4859dfd90b25aa78f",
    "model": "399dab81ecae5f1aacdd3c3481ffc67cc3c31617b242c9345014dffc8dd5ba5f",
    "full model": "fe60043e0222dccddd2dcc5f0e5d60d659c1152392873f7dbfe3d6c5700a7cf8",
    "run": "d5658264f2aa04a64029e4acb0dd76d07916dc40f2e926666940ea1f5c03d14c",
    "full run": "328898267f85c2f34c3f81843e9a78465abde0744e81b89b9066eb6a2e31b60c",
    "hello": "8e4c7c1b99dbfd50e7a95185fead5ee1448fa904a2fdd778eaf5f2dbfd629a99",
    "pack list": "aa6f3612332f663edc69767cdf99f0fb568fbe8a7ddfe0d7fb599ee689fff18a",
    "index": "4a4f3073f17493744cd6059cd930b36bfa59876323d42c75f84286e1112d69c8",
}

ADA = Person("Ada", "ada@example.org", 1_700_000_000_000_000, 60)
BOT = Person("Bot", "", 1_700_000_001_000_000, -330)
HELLO = content_id(b"hello\n")
SALT = bytes(range(16))

VALUE = {
    "array": (None, True, False),
    "bytes": b"\x00\xff",
    "float": 1.5,
    "integers": (0, 127, 128, -32, -33, 2**64 - 1, -(2**63)),
    "large": 2**64,
    "nan": math.nan,
    "text": "\u00e9",
}
TREE = Node(
    0,
    (
        (b"README", (int(EntryKind.FILE), HELLO, 6)),
        (b"link", (int(EntryKind.SYMLINK), content_id(b"README"), 6)),
        (b"run.sh", (int(EntryKind.EXECUTABLE), content_id(b"#!/bin/sh\n"), 10)),
        (b"sub", (int(EntryKind.GITLINK), b"\x11" * 20, 0)),
    ),
)
TREE_ID = object_id(Kind.TREE, encode_node(TREE.level, TREE.items))
INNER = Node(1, ((b"0999.jpg", Child(b"\xaa" * 32, 500, 70_000)), (b"1999.jpg", Child(b"\xbb" * 32, 12, 300))))
COMMIT = Commit(tree=TREE_ID, parents=(), author=ADA, committer=ADA, message="first\n")
COMMIT_ID = object_id(Kind.COMMIT, encode_commit(COMMIT))
FULL_COMMIT = Commit(
    tree=TREE_ID,
    parents=(COMMIT_ID, b"\x22" * 32),
    author=ADA,
    committer=BOT,
    message="all fields",
    environment=b"\x33" * 32,
    runs=(b"\x44" * 32,),
    metadata={"key": "value"},
    signature=b"signature",
)
TAG = Tag(target=COMMIT_ID, target_kind=Kind.COMMIT, name="v1", tagger=ADA, message="first release\n")
OPENING = Event(
    "open",
    ADA,
    title="Learn faster",
    text="Half the time.\n",
    target="heads/main",
    source="faster",
    commit=COMMIT_ID,
)
OPENING_ID = object_id(Kind.STATE, encode_event(OPENING))
APPROVAL = Event(
    "approve", BOT, request=OPENING_ID, after=(OPENING_ID,), commit=COMMIT_ID, signature=b"signature"
)
APPROVAL_ID = object_id(Kind.STATE, encode_event(APPROVAL))
WITNESS = Witness("bob", "SHA256:key", 1_700_000_003_000_000, 60)
VIEW = Node(0, ((b"heads/main", (1, int(Kind.COMMIT), COMMIT_ID)), (b"worktrees/one/HEAD", (2, "heads/main"))))
VIEW_ID = object_id(Kind.VIEW, encode_node(VIEW.level, VIEW.items))
OPERATION = Operation(
    view=VIEW_ID,
    parents=(b"\x55" * 32,),
    time=1_700_000_002_000_000,
    zone=60,
    user="ada",
    host="box",
    worktree="one",
    verb="commit",
    description="first",
    command=("commit", "-m", "first"),
)
OPERATION_ID = object_id(Kind.OPERATION, encode_operation(OPERATION))
MAP_PAGE = Page(0, (Part(b"\x66" * 32, 65_536), Part(b"\x77" * 32, 200_001)))
FRAMES = [Frame(16, 10, 10, NO_BASE, int(Encoding.RAW))]
PLACES = [(HELLO, Place(Kind.CHUNK, 0, 0, 6)), (content_id(b"\n\n\n\n"), Place(Kind.CHUNK, 0, 6, 4))]
PACKS = PackList(
    packs=(PackRef(b"\x88" * 32, PackClass.SMALL, 244, 26, 2),),
    condemned=(b"\x99" * 32,),
    replaced={b"\x99" * 32: (b"\x88" * 32,)},
    previous=b"\xaa" * 32,
)



def a_row():
    """The golden index as a segment takes it in."""
    index = bytes.fromhex(GOLDEN["index"])
    ref = PackRef(pack_id_of(index), PackClass.SMALL, 26 + len(index) + FOOTER.size, 26, 2)
    return ref, index


def a_segment():
    data = bytes.fromhex(GOLDEN["segment"])
    return Segment(data, segment_id(data))


SEGMENT = a_segment()


def folded_packs():
    retired = (SegmentRef(b"\xbb" * 32, 500, 3, 7),)
    packs = (*SEGMENT.packs, *PACKS.packs)
    return PackList(packs, previous=b"\xaa" * 32, segments=(SEGMENT,), retired=retired)


def no_segment(ref):
    raise AssertionError(ref)


WORKING_INDEX = Index(
    TREE_ID,
    1_700_000_003_000_000_000,
    {
        b"": make_block(
            {
                b"README": pack_signature(6, 1_700_000_000_000_000_000, 1_700_000_001_000_000_000, 99, 0o100644),
                b"data": DIRECTORY,
            }
        ),
        b"data": make_block({b"x": UNKNOWN}),
    },
    (b"/data",),
)
JOURNAL = Journal(TREE_ID, b"\x11" * 32, bytes(range(12)), 4711, "box")
GC = GcRecord(frozenset([b"\x55" * 32]), {b"\x99" * 32: 1_700_000_004_000_000})
CONFLICT = Conflict(
    b"README",
    "content",
    None,
    Entry(EntryKind.FILE, HELLO, 6),
    Entry(EntryKind.FILE, content_id(b"hello!\n"), 7),
    (b"README",),
)
STATE = WorktreeState(
    "merge",
    heads=(b"\x22" * 32,),
    message="Merge side\n",
    original=COMMIT_ID,
    merged=TREE_ID,
    conflicts=(CONFLICT,),
    touched=(b"README",),
)
RUN_KEY = RunKey(bytes.fromhex("018bcfe56800") + b"\x01" * 10)
RUN = Run(
    key=RUN_KEY,
    authority="workload",
    start=ADA.time,
    zone=60,
    user="Ada <ada@example.org>",
    command=("python", "train.py", "--lr", "0.1"),
    source=TREE_ID,
    params={"lr": 0.1},
    inputs=Pins(1, 6, (Pin(b"a", PinState.PINNED, Seen.PYTHON, EntryKind.FILE, HELLO, 6),), tree=TREE_ID),
    end=ADA.time + 2_500_000,
    exit_code=0,
)
MODEL = ModelVersion(
    "churn", 1, b"model.pkl", Entry(EntryKind.FILE, HELLO, 6), "Ada <ada@example.org>", ADA.time, 60
)
FULL_MODEL = ModelVersion(
    name="team/churn",
    version=12,
    path=b"out/model",
    entry=Entry(EntryKind.TREE, TREE_ID, 6),
    user="Ada <ada@example.org>",
    time=ADA.time,
    zone=60,
    run=RUN_KEY,
    run_id=b"\x44" * 32,
    commit=COMMIT_ID,
    environment=b"\x33" * 32,
    framework="sklearn",
    framework_version="1.9.0",
    description="all fields",
    metrics={"acc": 0.93},
    params={"lr": 0.1},
    metadata={"classes": 2},
)
FULL_RUN = Run(
    key=RunKey(bytes.fromhex("018bcfe56801") + b"\x02" * 10),
    authority="workload",
    start=ADA.time + 1000,
    zone=60,
    user="Ada <ada@example.org>",
    name="baseline",
    description="all fields",
    command=("./train", b"\xff"),
    directory=b"src",
    source=TREE_ID,
    base=COMMIT_ID,
    environment=b"\x33" * 32,
    parent=RUN_KEY,
    params={"big": 1 << 70, "flag": True, "name": "x", "nested": {"list": (1, None)}},
    metrics={"acc": 0.93, "nan": float("inf")},
    labels={"kind": "baseline"},
    series=(Series("loss", 3, 0.25, 0.25, 1.0, 2, 0, 99),),
    series_file=StoredFile(b"\x66" * 32, 99),
    inputs=Pins(101, 606, (), StoredFile(b"\x77" * 32, 300_000), TREE_ID),
    outputs=Pins(
        3,
        6,
        (
            Pin(b"/tmp/b", PinState.MISSING, Seen.DECLARED),
            Pin(b"a", PinState.CHANGED, Seen.PYTHON | Seen.COMPARED, EntryKind.FILE, HELLO, 6),
            Pin(b"gone", PinState.MISSING, Seen.COMPARED),
        ),
    ),
    logs={"stderr": StoredFile(HELLO, 6)},
    end=ADA.time + 9000,
    signal=9,
    lost=True,
    error="Killed",
    variables={"SEED": "1"},
    resources={"cpu_user": 1, "cpu_system": 2, "peak_memory": 3},
    machine={"host": "box"},
    observation={"reads": "python", "writes": "compared"},
    metadata={"key": "value"},
    also=((Kind.COMMIT, COMMIT_ID),),
)
COMMENT = Note("comment", RUN_KEY, "Ada <ada@example.org>", ADA.time, 60, "good")
LABELS = Note("labels", RUN_KEY, "Ada <ada@example.org>", ADA.time, 60, labels={"kind": "best", "old": None})
REMOVAL = Note("removal", RUN_KEY, "Ada <ada@example.org>", ADA.time, 60, "a mistake")
SERIES = ([0, 1, 2], [ADA.time, ADA.time + 10, ADA.time + 25], [1.0, 0.5, 0.25])


def a_pack(folder):
    """Write the pack of the example: one raw frame that holds two small files."""
    writer = PackWriter(folder, PackClass.SMALL)
    members = [(object_id, place.kind, place.offset, place.length) for object_id, place in PLACES]
    writer.append(Encoding.RAW, b"hello\n\n\n\n\n", 10, members)
    return writer, writer.finish()


def an_index():
    return encode_index(PackClass.SMALL, FRAMES, [record(i, p) for i, p in PLACES], salt=SALT)


def a_head():
    return codec.encode_plain([1, OPERATION_ID, pack_list_id(encode_pack_list(PACKS))])


ENCODED = {
    "small environment": lambda: encode_environment(SMALL),
    "full environment": lambda: encode_environment(FULL),
    "value": lambda: codec.encode(VALUE),
    "tree": lambda: encode_node(TREE.level, TREE.items),
    "empty tree": lambda: encode_node(0, ()),
    "inner node": lambda: encode_node(INNER.level, INNER.items),
    "commit": lambda: encode_commit(COMMIT),
    "full commit": lambda: encode_commit(FULL_COMMIT),
    "tag": lambda: encode_tag(TAG),
    "view": lambda: encode_node(VIEW.level, VIEW.items),
    "operation": lambda: encode_operation(OPERATION),
    "map page": lambda: encode_page(MAP_PAGE.level, list(MAP_PAGE.parts)),
    "index": an_index,
    "pack list": lambda: encode_pack_list(PACKS),
    "segment": lambda: encode_segment([a_row()]),
    "folded pack list": lambda: encode_pack_list(folded_packs()),
    "head": a_head,
    "format": lambda: encode_format(CURRENT),
    "state": lambda: encode_state(STATE),
    "model": lambda: encode_version(MODEL),
    "full model": lambda: encode_version(FULL_MODEL),
    "run": lambda: encode_run(RUN),
    "full run": lambda: encode_run(FULL_RUN),
    "run comment": lambda: encode_note(COMMENT),
    "run labels": lambda: encode_note(LABELS),
    "run removal": lambda: encode_note(REMOVAL),
    "series block": lambda: encode_block(*SERIES),
    "request": lambda: encode_event(OPENING),
    "approval": lambda: encode_event(APPROVAL),
    "witness": lambda: encode_witness(WITNESS, APPROVAL_ID),
}
DECODED = {
    "small environment": (decode_environment, SMALL),
    "full environment": (decode_environment, FULL),
    "tree": (lambda data: decode_node(TREES, data), TREE),
    "empty tree": (lambda data: decode_node(TREES, data), Node(0, ())),
    "inner node": (lambda data: decode_node(TREES, data), INNER),
    "commit": (decode_commit, COMMIT),
    "full commit": (decode_commit, FULL_COMMIT),
    "tag": (decode_tag, TAG),
    "view": (lambda data: decode_node(VIEWS, data), VIEW),
    "operation": (decode_operation, OPERATION),
    "map page": (decode_page, MAP_PAGE),
    "pack list": (lambda data: decode_pack_list(data, no_segment), PACKS),
    "folded pack list": (lambda data: decode_pack_list(data, lambda _ref: SEGMENT), folded_packs()),
    "state": (decode_state, STATE),
    "model": (decode_version, MODEL),
    "full model": (decode_version, FULL_MODEL),
    "run": (decode_run, RUN),
    "full run": (decode_run, FULL_RUN),
    "run comment": (decode_note, COMMENT),
    "run labels": (decode_note, LABELS),
    "run removal": (decode_note, REMOVAL),
    "series block": (decode_block, [Point(*row) for row in zip(*SERIES, strict=True)]),
    "request": (decode_event, OPENING),
    "approval": (decode_event, APPROVAL),
    "witness": (lambda data: decode_witness(data, APPROVAL_ID), WITNESS),
}
KINDS = {
    "small environment": Kind.ENVIRONMENT,
    "full environment": Kind.ENVIRONMENT,
    "tree": Kind.TREE,
    "empty tree": Kind.TREE,
    "inner node": Kind.TREE,
    "commit": Kind.COMMIT,
    "full commit": Kind.COMMIT,
    "tag": Kind.TAG,
    "view": Kind.VIEW,
    "operation": Kind.OPERATION,
    "map page": Kind.MAP_PAGE,
    "model": Kind.RUN,
    "full model": Kind.RUN,
    "run": Kind.RUN,
    "full run": Kind.RUN,
    "request": Kind.STATE,
    "approval": Kind.STATE,
}


def golden(name):
    return bytes.fromhex(GOLDEN[name])


@pytest.mark.parametrize("name", ENCODED)
def test_values_are_written_to_these_bytes(name):
    assert ENCODED[name]().hex() == golden(name).hex()


@pytest.mark.parametrize("name", DECODED)
def test_these_bytes_are_read_to_the_values(name):
    decode, value = DECODED[name]
    assert decode(golden(name)) == value


@pytest.mark.parametrize("name", KINDS)
def test_ids(name):
    assert object_id(KINDS[name], golden(name)).hex() == IDS[name]


def test_ids_of_what_is_no_object():
    assert content_id(b"hello\n").hex() == IDS["hello"]
    assert packages_key(SMALL).hex() == IDS["small environment's packages"]
    assert packages_key(FULL).hex() == IDS["full environment's packages"]
    assert pack_list_id(golden("pack list")).hex() == IDS["pack list"]
    assert pack_list_id(golden("folded pack list")).hex() == IDS["folded pack list"]
    assert segment_id(golden("segment")).hex() == IDS["segment"]
    assert pack_id_of(golden("index")).hex() == IDS["index"]


def test_the_value_of_every_type_is_read():
    value = codec.decode(golden("value"))
    assert math.isnan(value["nan"])
    assert {k: v for k, v in value.items() if k != "nan"} == {k: v for k, v in VALUE.items() if k != "nan"}


def test_the_numbers_of_kinds_and_classes_are_fixed():
    names = "CHUNK FILE_MAP MAP_PAGE TREE COMMIT TAG VIEW OPERATION STATE RUN ENVIRONMENT"
    assert [(k.name, k.value) for k in Kind] == [(name, n) for n, name in enumerate(names.split(), 1)]
    names = "FILE EXECUTABLE SYMLINK TREE GITLINK REFERENCE SNAPSHOT"
    assert [(k.name, k.value) for k in EntryKind] == [(name, n) for n, name in enumerate(names.split(), 1)]
    assert [(c.name, c.value) for c in PackClass] == [("METADATA", 0), ("SMALL", 1), ("BULK", 2)]
    assert list(CONTEXTS.values()) == [
        f"dsvc {name} v1"
        for name in ("map page", "tree", "commit", "tag", "view", "operation", "state", "run", "environment")
    ]


def test_the_pack(tmp_path, monkeypatch):
    monkeypatch.setattr(packwriter.os, "urandom", lambda size: SALT[:size])
    writer, ref = a_pack(tmp_path)
    assert writer.path.read_bytes().hex() == golden("pack").hex()
    assert ref.id.hex() == IDS["index"]
    index = PackIndex(golden("index"), ref.id)
    assert [index.frame(n) for n in range(index.frames)] == FRAMES
    assert list(index.objects()) == sorted(PLACES)
    backend = MemoryBackend()
    backend.put(ref.key, golden("pack"))
    store = ObjectStore(backend, lambda: tmp_path)
    store.show(PackList((ref,)))
    assert store.read_file(HELLO) == b"hello\n"
    assert store.read_file(content_id(b"\n\n\n\n")) == b"\n\n\n\n"


def test_the_head_and_the_format_record():
    backend = MemoryBackend()
    backend.swap_cell(CELL, None, golden("head"))
    backend.swap_cell("format", None, golden("format"))
    backend.put(f"lists/{IDS['pack list']}", golden("pack list"))
    head = read_head(backend)
    assert (head.operation, head.packs) == (OPERATION_ID, PACKS)
    assert read_format(backend) == CURRENT


def test_the_files_of_a_cell(tmp_path):
    backend = LocalBackend(tmp_path)
    assert backend.swap_cell("head", None, b"one")
    assert backend.swap_cell("head", b"one", b"two")
    folder = tmp_path / "cells" / "head"
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2"]
    assert [(folder / name).read_bytes().hex() for name in ("1", "2")] == [GOLDEN["cell 1"], GOLDEN["cell 2"]]


def test_the_object_of_a_cell():
    cell = CellObject(b"two", (b"\x22" * 16, b"\x11" * 16), bytes(range(16)))
    assert cell.encode().hex() == GOLDEN["bucket cell"]
    assert decode_cell(golden("bucket cell"), "head") == cell


def test_the_files_of_a_working_copy(tmp_path):
    write_index(tmp_path / "index", WORKING_INDEX)
    assert (tmp_path / "index").read_bytes().hex() == GOLDEN["working index"]
    (tmp_path / "index").write_bytes(golden("working index"))
    assert read_index(tmp_path / "index") == WORKING_INDEX
    begin(tmp_path / "journal", JOURNAL)
    assert (tmp_path / "journal").read_bytes().hex() == GOLDEN["journal"]
    (tmp_path / "journal").write_bytes(golden("journal"))
    assert read(tmp_path / "journal") == JOURNAL


def test_the_notes_of_gc():
    backend = MemoryBackend()
    change_record(backend, lambda _: GC)
    assert backend.read_cell("gc").hex() == GOLDEN["gc"]
    backend = MemoryBackend()
    backend.swap_cell("gc", None, golden("gc"))
    assert read_record(backend) == GC


FAMILY = Family(
    {
        "": FamilyMember(""),
        "0123456789abcdef": FamilyMember("0123456789abcdef", "../../bob/vision", ""),
        "fedcba9876543210": FamilyMember("fedcba9876543210", "../../eve/vision", "0123456789abcdef", ready=False),
    }
)
LINEAGE = Lineage("../../team/vision", "bob", 1_700_000_000_000_000, OperationId(ObjectId(b"\x55" * 32)))
POINTER = pointing(Pointer("../../team/vision", "../../bob/vision"))


def test_a_pool():
    assert encode_family(FAMILY) == golden("family")
    assert decode_family(golden("family")) == FAMILY
    assert encode_format(POINTER) == golden("pointer")
    assert decode_format(golden("pointer")) == POINTER
    backend = MemoryBackend()
    write_lineage(backend, LINEAGE)
    assert backend.read_cell("fork") == golden("lineage")
    assert read_lineage(backend) == LINEAGE
    backend.swap_cell(CELL, None, golden("deleted head"))
    with pytest.raises(RepositoryDeletedError):
        read_head(backend)


def test_the_bundle(tmp_path):
    path = tmp_path / "bundle"
    ref = Direct(Kind.COMMIT, ObjectId(bytes([0x11]) * 32))
    prerequisite = Prerequisite(CommitId(ObjectId(bytes([0x22]) * 32)), "first")
    header = BundleHeader((("heads/main", ref),), (prerequisite,), ("base-1",))
    writer = BundleWriter(path, header)
    writer.put("packs/" + "33" * 32, b"a pack")
    writer.put("lists/" + "44" * 32, b"a list")
    writer.swap_cell("format", None, b"f\n")
    writer.swap_cell("head", None, b"h")
    assert writer.finish() == len(golden("bundle"))
    assert path.read_bytes().hex() == GOLDEN["bundle"]
    path.write_bytes(golden("bundle"))
    bundle = BundleBackend(path)
    assert bundle.header == header
    assert [(key, bundle.get(key)) for key, _ in bundle.list("")] == [
        ("lists/" + "44" * 32, b"a list"),
        ("packs/" + "33" * 32, b"a pack"),
    ]
    assert (bundle.read_cell("format"), bundle.read_cell("head")) == (b"f\n", b"h")
    bundle.close()


def shown():
    """Yield (page, name, digits) of every example in the pages: a fenced block that begins `hex NAME`."""
    for page in sorted(PAGES.glob("*.md")):
        for name, digits in re.findall(r"^```hex ([a-z0-9 ]+)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
            yield page.name, name, "".join(digits.split())


def test_the_parts_of_a_pack():
    parts = (
        BlobPart(16, 524288, 0, 524288, 1_700_000_000_123_456_789, b"\x66" * 32),
        BlobPart(524304, 300_000, 3_276_800_000, 3_277_100_000, 1_700_000_001_000_000_000, NAMELESS),
    )
    assert encode_parts(parts).hex() == GOLDEN["parts"]
    assert decode_parts(bytes.fromhex(GOLDEN["parts"]), "packs/x") == parts


@pytest.mark.parametrize("name", ["tombstone", "signed tombstone"])
def test_tombstones(name):
    signature = b"-----BEGIN SSH SIGNATURE-----\n" if name.startswith("signed") else None
    note = Tombstone(FileId(ObjectId(b"\x22" * 32)), "ada", 1_767_225_600_000_000, 60, "a password", signature)
    assert encode_tombstone(note).hex() == GOLDEN[name]
    assert decode_tombstone(b"\x22" * 32, bytes.fromhex(GOLDEN[name])) == note


def test_the_pages_show_these_bytes():
    examples = list(shown())
    assert {name for _, name, _ in examples} == GOLDEN.keys()
    for page, name, digits in examples:
        assert digits == GOLDEN[name], f"{page} shows other bytes for {name}"


def test_the_pages_show_these_ids():
    text = "".join(page.read_text() for page in PAGES.glob("*.md"))
    for name, digits in IDS.items():
        assert digits in text, f"no page shows the id of the example {name}"


def test_the_index_of_the_pages_names_them_all():
    contents = (PAGES / "index.md").read_text()
    for page in PAGES.glob("*.md"):
        assert page.name == "index.md" or f"({page.name})" in contents
