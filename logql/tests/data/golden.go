// Makes the tables values.tsv, times.tsv and templates.tsv with Go's own libraries:
//
//	TZ=UTC go run golden.go
//
// All fields are quoted as Go does. The functions that Loki adds to templates are written here after their
// documentation, on Go's standard library.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"text/template"
	"time"
	_ "time/tzdata"
)

var out *bufio.Writer

func open(name string) func() {
	f, err := os.Create(name)
	if err != nil {
		panic(err)
	}
	out = bufio.NewWriter(f)
	return func() { out.Flush(); f.Close() }
}

func row(cells ...string) {
	for i, c := range cells {
		if i > 0 {
			out.WriteByte('\t')
		}
		out.WriteString(strconv.Quote(c))
	}
	out.WriteByte('\n')
}

func result(kind, in string, v string, err error) {
	if err != nil {
		row(kind, in, "error", err.Error())
	} else {
		row(kind, in, "ok", v)
	}
}

func values() {
	defer open("values.tsv")()
	for _, s := range []string{"", "0", "+0", "-0", "1", "1s", "-1s", "+5s", "1h30m", "1.5h", ".5s", "1.s", ".s", "1h-1m", "10ns",
		"11us", "12\u00b5s", "12\u03bcs", "13ms", "1d", "3000000h", "9223372036854775807ns", "9223372036854775808ns",
		"-9223372036854775808ns", "-9223372036854775809ns", "9223372036854775.807us", "9223372036s854ms775us807ns",
		"-9223372036s854ms775us808ns", "0.3333333333333333333h", "0.9223372036854775807h", "0.100000000000000000000h",
		"0.830103483285477580700h", "39h9m14.425s", "x", "1x", "1 s", " 1s", "1s ", "s", "-", "+", "-.", ".", "1.5", "1\x00s",
		"1\xffs", "1\"s", "1h1", "1h 1m", "\u00e9", "99999999999999999999s", "0.0000000000000000001h", "0.00000000000000000000000001s",
		"1m.5s", "5.6s", "5.s", ".5", "1e3s", "01h", "1H", "1Ms", "250ms", "-5s", "15us"} {
		d, err := time.ParseDuration(s)
		result("duration", s, strconv.FormatInt(int64(d), 10), err)
	}
	for _, n := range []int64{0, 1, 999, 1000, 1100, 999999, 1000000, 2200000, 999999999, 1000000000, 1500000000, 60000000000,
		90000000000, 3600000000000, 3661001002003, 5400000000000, 86400000000000, 304945678900000, -1, -1500000000, math.MaxInt64,
		math.MinInt64, 3300000000, 4*60000000000 + 5*1000000000, 100} {
		row("duration_string", strconv.FormatInt(n, 10), "ok", time.Duration(n).String())
	}
	floats := []string{"", "0", "-0", "+0", "1", "+1", "-1", "1.", ".1", ".", "1.5", "1e3", "1E3", "1e+3", "1e-3", "1e", "1e+", "e1",
		"1_000", "_1", "1_", "1__0", "0x1p4", "0x1.8p1", "0X1P-2", "0x1", "0x.8p0", "0x_1p4", "0x1_0p4", "0xp1", "0x1p", "0x1.p1",
		"0x1.fffffffffffff8p0", "0x1.fffffffffffff7p0", "0x1.00000000000008p0", "0x1.00000000000018p0", "0x1p1023", "0x1p1024",
		"-0x1p1024", "0x1.fffffffffffff8p1023", "0x1p-1074", "0x1p-1075", "0x1.1p-1075", "0x1p-1076", "0x0.8p-1073", "0x3p-1074",
		"0x1.8p-1074", "0x0.fffffffffffff8p-1022", "0x1p99999999999", "0x1p-99999999999", "0x0p99999", "0x123456789abcdef01p0",
		"0x123456789abcdef00000000000001p0", "inf", "Inf", "INF", "+inf", "-Inf", "infinity", "Infinity", "-infinity", "+INFINITY",
		"infi", "infinit", "nan", "NaN", "NAN", "+nan", "-NaN", "nanx", "1e308", "1e309", "-1e309", "1.7976931348623157e308",
		"1.7976931348623159e308", "5e-324", "2e-324", "1e-400", "0.1", "123456789012345678901234567890", "1 ", " 1", "1,5", "abc",
		"0b1", "0o7", "010", "1.2.3", "--1", "+-1", "1f", "1.5s", "007", "0_1", "1.0_0", "1e1_0", "-", "+", "1e999999999999999999999",
		"\u0661", "1\x00", "1\xff", "0x1f", "1p4", "0e5", "1e-5_0", "0x1P+0_3", "1.e2", ".5e1", "-.5", "..5", "\"1\""}
	for _, s := range floats {
		f, err := strconv.ParseFloat(s, 64)
		result("float", s, strconv.FormatUint(math.Float64bits(f), 16), err)
	}
	for _, s := range []string{"", "0", "1", "-1", "+1", "046", "08", "0x10", "0X1f", "0xg", "0b101", "0B2", "0o17", "0O8", "1_000", "_1",
		"1_", "0_7", "0x_f", "0x", "0b", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809",
		"1.5", "1e3", " 1", "1 ", "abc", "--1", "99999999999999999999999", "0xffffffffffffffff", "-0x8000000000000000", "00", "-", "1__0"} {
		n, err := strconv.ParseInt(s, 0, 64)
		result("int", s, strconv.FormatInt(n, 10), err)
	}
	for _, s := range []string{``, `"`, `""`, `"a"`, `"a`, `a"`, `a`, `"a\nb"`, `"\x41\101\u00e9\U0001F600"`, `"\xff"`, `"\'"`, `"\""`, `"'"`,
		"`a\\nb`", "`a\rb`", "`a`b`", "`a\"b`", `'a'`, `'ab'`, `''`, `'\''`, `'"'`, `'\"'`, `"\q"`, `"\x4"`, `"\u12"`, `"\ud800"`,
		`"\U00110000"`, `"\400"`, `"\377"`, `"\7"`, "\"a\nb\"", `"a"b"`, "\"\u00e9\"", "\"\xff\"", `"\a\b\f\n\r\t\v\\"`, `'\u00e9'`, "'\u00e9'",
		"``", "`", "\"\\", `"\`, `"tab	in"`, "`line\nbreak`"} {
		v, err := strconv.Unquote(s)
		result("unquote", s, v, err)
	}
	for _, s := range []string{"", "a", "\"", "'", "\\", "\n\t\r\a\b\f\v", "\x00\x1f\x7f", "\xff\xfe", "a\xffb", "\u00e9", "\u2028", "\ufeff",
		"\U0001F600", "\u200b", "\u00a0", "\ue000", "\U0010ffff", "\u00ad"} {
		row("quote", s, "ok", strconv.Quote(s))
	}
	numbers := []float64{0, math.Copysign(0, -1), 1, -1, 0.1, 0.5, 1.5, 2.5, 3.5, 0.25, 100, 12000, 123456, 1234567, 1e5, 1e6, 1e20, 1e21, 1e22, 123456789,
		1572864, 0.0001, 0.00001, 0.000012345, 3.14159, 1e-7, 1.7976931348623157e308, 5e-324, 2.2250738585072014e-308, 1.0 / 3, 2.0 / 3,
		-2.75, 99.995, 0.045, 1234.5678, 9.5, 9.995, 4503599627370497.5, math.Inf(1), math.Inf(-1), math.NaN(), 255.9375, 1e100}
	for _, f := range numbers {
		for _, c := range []byte("efgbx") {
			for _, p := range []int{-1, 0, 1, 2, 3, 6, 17} {
				if c == 'b' && p != -1 {
					continue
				}
				in := fmt.Sprintf("%x %c %d", math.Float64bits(f), c, p)
				row("format", in, "ok", strconv.FormatFloat(f, c, p, 64))
			}
		}
	}
}

func times() {
	defer open("times.tsv")()
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia"}
	layouts := []string{time.ANSIC, time.UnixDate, time.RubyDate, time.RFC822, time.RFC822Z, time.RFC850, time.RFC1123, time.RFC1123Z,
		time.RFC3339, time.RFC3339Nano, time.Kitchen, time.Stamp, time.StampMilli, time.StampMicro, time.StampNano, time.DateTime,
		"2006-01-02 15:04:05.000", "15:04:05,999", "06-1-2 3:4:5 pm", "__2 002 _2 _2006", "Monday Mon Month Monde January Jan Janet",
		"Z07 Z0700 Z07:00 Z070000 Z07:00:00", "-07 -0700 -07:00 -070000 -07:00:00", "MST", "05.0000000000", "05.9 05.99", "2006 06 20060102150405",
		"no layout", "", "15h04m05s", "02/Jan/2006:15:04:05 -0700", "1504", "0", "07", "03PM", ".000", "2.0001", "\xff 2006", "_2 __2", "00 01 02 03 04 05 06"}
	for i, z := range zones {
		loc, err := time.LoadLocation(z)
		if err != nil {
			panic(err)
		}
		for _, n := range []int64{0, 1789862400123456789, 1767225599999999999, 1772323200000000000, 1774745999000000000, 951782400000000000, -1000000001} {
			if i > 0 && n != 1789862400123456789 && n != 1772323200000000000 {
				continue
			}
			for _, l := range layouts {
				row("format", fmt.Sprint(n), z, l, time.Unix(0, n).In(loc).Format(l))
			}
		}
	}
	for _, c := range [][2]string{
		{time.RFC3339, "2026-09-20T00:00:01+02:00"}, {time.RFC3339, "2026-09-20T00:00:01Z"}, {time.RFC3339, "2026-09-20T00:00:01.123456789Z"},
		{time.RFC3339, "2026-09-20T00:00:01,5Z"}, {time.RFC3339, "2026-09-20 00:00:01Z"}, {time.RFC3339, "2026-13-20T00:00:01Z"},
		{time.RFC3339, "2026-02-29T00:00:01Z"}, {time.RFC3339, "2024-02-29T24:00:01Z"}, {time.RFC3339, "2024-02-29T00:60:01Z"}, {time.RFC3339Nano, "2024-02-29T00:00:01.5-03:30"},
		{"2006-01-02", "2026-09-20"}, {"2006-01-02", "2026-9-20"}, {"2006-1-2", "2026-9-2"}, {"2006-01-02", "2026-09-20x"}, {"2006-01-02", ""},
		{"2006-01-02 15:04", "2026-07-01 12:00"}, {"2006-01-02 15:04", "2026-03-29 02:30"}, {"2006-01-02 15:04", "2026-10-25 02:30"},
		{"2006-01-02 15:04", "2026-03-08 02:30"}, {"2006-01-02 15:04", "2026-11-01 01:30"}, {"2006-01-02 15:04", "2011-12-30 12:00"},
		{time.ANSIC, "Sun Sep 20 00:00:01 2026"}, {time.ANSIC, "Sun Sep  2 00:00:01 2026"}, {time.ANSIC, "sun sep 2 00:00:01 2026"}, {time.ANSIC, "Son Sep 2 00:00:01 2026"},
		{time.UnixDate, "Sun Sep 20 00:00:01 UTC 2026"}, {time.UnixDate, "Sun Sep 20 00:00:01 CEST 2026"}, {time.UnixDate, "Sun Sep 20 00:00:01 EST 2026"},
		{time.UnixDate, "Sun Sep 20 00:00:01 XYZ 2026"}, {time.UnixDate, "Sun Sep 20 00:00:01 GMT+3 2026"}, {time.UnixDate, "Sun Sep 20 00:00:01 GMT 2026"}, {time.UnixDate, "Sun Sep 20 00:00:01 +03 2026"},
		{time.RFC1123Z, "Sun, 20 Sep 2026 00:00:01 +0530"}, {time.RFC1123Z, "Sun, 20 Sep 2026 00:00:01 +2530"}, {time.Kitchen, "3:04PM"}, {time.Kitchen, "12:04AM"}, {time.Kitchen, "12:04PM"},
		{time.Kitchen, "13:04PM"}, {time.Kitchen, "3:04pm"}, {"3:04pm", "3:04pm"}, {"02/Jan/2006:15:04:05 -0700", "20/Sep/2026:00:05:34 +0000"}, {"06", "69"}, {"06", "68"}, {"06", "6"},
		{"2006 002", "2026 365"}, {"2006 002", "2026 366"}, {"2006 002", "2024 366"}, {"2006 002", "2024 060"}, {"2006 __2", "2024  60"}, {"2006-01-02 002", "2024-02-29 060"}, {"2006-01-02 002", "2024-02-28 060"},
		{"15:04:05", "01:02:03.25"}, {"15:04:05.000", "01:02:03.25"}, {"15:04:05.000", "01:02:03.250"}, {"15:04:05.999", "01:02:03"}, {"15:04:05.999", "01:02:03.123456"}, {"15:04:05,000", "01:02:03.250"},
		{"2006-01-02T15:04:05Z0700", "2026-09-20T00:00:01-0800"}, {"2006-01-02T15:04:05Z07", "2026-09-20T00:00:01-08"}, {"2006-01-02T15:04:05Z07", "2026-09-20T00:00:01Z"}, {"2006-01-02T15:04:05Z07:00:00", "2026-09-20T00:00:01-08:00:30"},
		{"2006-01-02T15:04:05-07", "2026-09-20T00:00:01Z"}, {"Jan _2 15:04:05", "Sep  2 00:00:01"}, {"Jan _2 15:04:05", "Sep 20 00:00:01"}, {"January 2, 2006", "September 2, 2026"}, {"Monday", "Tuesday"}, {"2006 MST", "2026 WITA"}, {"2006 MST", "2026 ChST"}, {"2006 MST", "2026 ABCDE"}, {"2006 MST", "2026 ABCDT"}, {"2006 MST", "2026 AB"},
		{"no", "no"}, {"no", "yes"}, {"", ""}, {"", "x"}, {"2006  x", "2026 x"}, {"2006 x", "2026    x"}, {"2006 x", "2026x"}, {"2006 ", "2026"}, {"15", "7"}, {"15", "77"}, {"03", "7"}, {"4", "7"}, {"04", "7"}, {"5", "9"}, {"1 2006", "0 2026"}, {"2 2006", "0 2026"}, {"2 2006", "31 2026"},
	} {
		for _, z := range []string{"UTC", "Europe/Berlin", "America/New_York", "Pacific/Apia"} {
			loc, _ := time.LoadLocation(z)
			t, _ := time.ParseInLocation(c[0], c[1], loc)
			row("parse", c[0], c[1], z, t.String())
		}
	}
}

var labels = map[string]string{"app": "web", "d": "1m30s", "b": "1.5 MiB", "n": "2048", "z": "046", "s": "hello world", "u": "h\u00e9llo", "empty": "", "j": `{"a":{"b":[1,2.5,"x",null,true]},"k":"v","e":{},"l":[]}`, "bad": "{"}

const line = `level=info msg="hi <there>" n=5`

func toInt(v any) int64 {
	switch x := v.(type) {
	case int:
		return int64(x)
	case int64:
		return x
	case uint8:
		return int64(x)
	case float64:
		return int64(x)
	case bool:
		if x {
			return 1
		}
	case string:
		n, _ := strconv.ParseInt(x, 0, 0)
		return n
	}
	return 0
}

var funcs = template.FuncMap{
	"__line__":      func() string { return line },
	"__timestamp__": func() time.Time { return time.Unix(0, 1789863300123456789).UTC() },
	"ToLower":       strings.ToLower, "ToUpper": strings.ToUpper, "Replace": strings.Replace, "Trim": strings.Trim, "TrimLeft": strings.TrimLeft,
	"TrimRight": strings.TrimRight, "TrimPrefix": strings.TrimPrefix, "TrimSuffix": strings.TrimSuffix, "TrimSpace": strings.TrimSpace,
	"title": strings.Title, "lower": strings.ToLower, "upper": strings.ToUpper,
	"repeat":   func(n int, s string) string { return strings.Repeat(s, n) },
	"contains": func(a, b string) bool { return strings.Contains(b, a) },
	"int":      func(v any) int { return int(toInt(v)) },
	"float64": func(v any) float64 {
		if s, ok := v.(string); ok {
			f, _ := strconv.ParseFloat(s, 64)
			return f
		}
		return float64(toInt(v))
	},
	"add": func(v ...any) int64 {
		var n int64
		for _, x := range v {
			n += toInt(x)
		}
		return n
	},
	"div": func(a, b any) int64 { return toInt(a) / toInt(b) },
	"trunc": func(n int, s string) string {
		if n >= 0 && len(s) > n {
			return s[:n]
		}
		return s
	},
	"fromJson": func(s string) any {
		var v any
		json.Unmarshal([]byte(s), &v)
		return v
	},
	"default": func(d any, given ...any) any {
		if len(given) == 0 || given[0] == nil || given[0] == "" {
			return d
		}
		return given[0]
	},
	"duration": func(s string) (float64, error) {
		d, err := time.ParseDuration(s)
		return d.Seconds(), err
	},
	"round": func(f any, places int, on ...float64) float64 {
		from := 0.5
		if len(on) > 0 {
			from = on[0]
		}
		if _, frac := math.Modf(f.(float64)); frac >= from {
			return math.Ceil(f.(float64))
		}
		return math.Floor(f.(float64))
	},
}

func templates() {
	defer open("templates.tsv")()
	text, err := os.ReadFile("templates.txt")
	if err != nil {
		panic(err)
	}
	for _, t := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		if strings.HasPrefix(t, "\"") && strings.HasSuffix(t, "\"") {
			t, _ = strconv.Unquote(t)
		}
		p, err := template.New("line").Option("missingkey=zero").Funcs(funcs).Parse(t)
		if err != nil {
			row(t, "error", err.Error())
			continue
		}
		var b strings.Builder
		if err := p.Execute(&b, labels); err != nil {
			row(t, "error", err.Error())
			continue
		}
		row(t, "ok", b.String())
	}
}

func main() {
	values()
	times()
	templates()
}
