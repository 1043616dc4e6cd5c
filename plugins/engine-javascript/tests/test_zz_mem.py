import sys
sys.path.insert(0,'/tmp/w/b/plugins/engine-javascript/tests')
from test_sizes import FILL, MB
async def test_it(js):
    src = FILL.replace("fill(percent);\n", "console.log(percent,size,calls.indexOf(call)); fill(percent);\n")
    try:
        print(await js.value(src, memory_bytes=24*MB, timeout=110, args={"limit": 24*MB}))
    except Exception as e:
        print(repr(e), getattr(e,'output','')[-60:], e.traceback)
