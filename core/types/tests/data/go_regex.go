// Command go_regex asks Go's regexp package what patterns mean and prints the table go_regex.tsv.
//
// Run it with Go 1.27 or later: go run go_regex.go > go_regex.tsv
//
// Rows, separated by tabs, in strings every byte outside printable ASCII written as \xNN and a backslash as \\:
//
//	H  haystack
//	P  pattern  error of Compile
//	P  pattern  spans of the first match and its groups in every haystack, as "start,end" pairs, "." for a group that
//	            took no part, "-N" for N haystacks without a match; then the same for label matchers: one
//	            hexadecimal digit for four haystacks, the first haystack in the highest bit, or "!" if not to be had
//	A  pattern  spans of all matches in every haystack, as above
//	R  pattern  template  haystack  result of ReplaceAll
//	U  class name  "i" or "-"  members  FNV-1a hash over the members' code points
//	F  orbits  FNV-1a hash over the code points with case variants, each followed by its variants
//
// In U and F, code points that Unicode 17 added or changed are left out, and so are case variants among them.
package main

import (
	"bufio"
	"fmt"
	"math/rand"
	"os"
	"regexp"
	"regexp/syntax"
	"slices"
	"sort"
	"strings"
	"unicode"
)

var out = bufio.NewWriter(os.Stdout)

func main() {
	defer out.Flush()
	for _, h := range haystacks {
		row("H", escape(h))
	}
	for _, p := range allPatterns() {
		pattern(p)
	}
	for _, p := range iterated {
		re := regexp.MustCompile(p)
		var cells []string
		for _, h := range haystacks {
			var spans []string
			for _, m := range re.FindAllStringIndex(h, -1) {
				spans = append(spans, fmt.Sprintf("%d,%d", m[0], m[1]))
			}
			cells = append(cells, strings.Join(spans, ","))
		}
		row("A", escape(p), join(cells))
	}
	for _, r := range replacements {
		re := regexp.MustCompile(r[0])
		for _, h := range []string{"foo bar", "aab", "\u00e9a\xffa", "a=1 b=2", "", "baaac"} {
			row("R", escape(r[0]), escape(r[1]), escape(h), escape(string(re.ReplaceAll([]byte(h), []byte(r[1])))))
		}
	}
	classes()
	orbits()
}

func row(cells ...string) {
	fmt.Fprintln(out, strings.Join(cells, "\t"))
}

func escape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			b.WriteString(`\\`)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// join joins cells by spaces and counts runs of empty ones.
func join(cells []string) string {
	var parts []string
	misses := 0
	flush := func() {
		if misses > 0 {
			parts = append(parts, fmt.Sprintf("-%d", misses))
		}
		misses = 0
	}
	for _, c := range cells {
		if c == "" {
			misses++
			continue
		}
		flush()
		parts = append(parts, c)
	}
	flush()
	return strings.Join(parts, " ")
}

func pattern(p string) {
	re, err := regexp.Compile(p)
	if err != nil {
		row("P", escape(p), escape(err.Error()))
		return
	}
	var cells []string
	for _, h := range haystacks {
		var spans []string
		m := re.FindStringSubmatchIndex(h)
		for i := 0; i < len(m); i += 2 {
			if m[i] < 0 {
				spans = append(spans, ".")
			} else {
				spans = append(spans, fmt.Sprintf("%d,%d", m[i], m[i+1]))
			}
		}
		cells = append(cells, strings.Join(spans, ","))
	}
	// As Prometheus compiles the regular expressions of label matchers.
	parsed, err := syntax.Parse(p, syntax.Perl|syntax.DotNL)
	if err != nil {
		panic(err)
	}
	label, err := regexp.Compile("^(?s:" + parsed.String() + ")$")
	if err != nil {
		// At the limit of nesting, the anchors are one level too many.
		row("P", escape(p), join(cells), "!")
		return
	}
	var bits strings.Builder
	for i := 0; i < len(haystacks); i += 4 {
		digit := 0
		for j := i; j < i+4; j++ {
			digit *= 2
			if j < len(haystacks) && label.MatchString(haystacks[j]) {
				digit++
			}
		}
		fmt.Fprintf(&bits, "%x", digit)
	}
	row("P", escape(p), join(cells), bits.String())
}

// added17 holds the code points that Unicode 17 assigned, and those whose category or case variants it changed.
var added17 = []rune{
	0x0295, 0x0295,
	0x088F, 0x088F, 0x0C5C, 0x0C5C, 0x0CDC, 0x0CDC, 0x1ACF, 0x1ADD, 0x1AE0, 0x1AEB, 0x20C1, 0x20C1, 0x2B96, 0x2B96,
	0xA7CE, 0xA7CF, 0xA7D2, 0xA7D5, 0xA7F1, 0xA7F1, 0xFBC3, 0xFBD2, 0xFD90, 0xFD91, 0xFDC8, 0xFDCE,
	0x10940, 0x10959, 0x10EC5, 0x10EC7, 0x10ED0, 0x10ED8, 0x10EFA, 0x10EFB, 0x11B60, 0x11B67, 0x11DB0, 0x11DDB,
	0x11DE0, 0x11DE9, 0x16EA0, 0x16EB8, 0x16EBB, 0x16ED3, 0x16FF2, 0x16FF6, 0x187F8, 0x187FF, 0x18D09, 0x18D1E,
	0x18D80, 0x18DF2, 0x1CCFA, 0x1CCFC, 0x1CEBA, 0x1CED0, 0x1CEE0, 0x1CEF0, 0x1E6C0, 0x1E6DE, 0x1E6E0, 0x1E6F5,
	0x1E6FE, 0x1E6FF, 0x1F6D8, 0x1F6D8, 0x1F777, 0x1F77A, 0x1F8D0, 0x1F8D8, 0x1FA54, 0x1FA57, 0x1FA8A, 0x1FA8A,
	0x1FA8E, 0x1FA8E, 0x1FAC8, 0x1FAC8, 0x1FACD, 0x1FACD, 0x1FAEA, 0x1FAEA, 0x1FAEF, 0x1FAEF, 0x1FBFA, 0x1FBFA,
	0x2B73A, 0x2B73F, 0x2CEA2, 0x2CEAD, 0x323B0, 0x33479,
}

func isAdded17(c rune) bool {
	for i := 0; i < len(added17); i += 2 {
		if added17[i] <= c && c <= added17[i+1] {
			return true
		}
	}
	return false
}

type fnv uint64

func (h *fnv) add(c rune) {
	for i := 0; i < 4; i++ {
		*h = (*h ^ fnv(byte(c>>(8*i)))) * 1099511628211
	}
}

func classes() {
	names := []string{"Any", "ASCII", "Assigned", "greek", "l u", "UPPERCASE-LETTER"}
	for name := range unicode.Scripts {
		names = append(names, name)
	}
	for name := range unicode.Categories {
		names = append(names, name)
	}
	for name := range unicode.CategoryAliases {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		for _, flag := range []string{"-", "i"} {
			expr := `\p{` + name + `}`
			if flag == "i" {
				expr = "(?i)" + expr
			}
			parsed, err := syntax.Parse(expr, syntax.Perl)
			if err != nil {
				panic(err)
			}
			hash, count := fnv(14695981039346656037), 0
			ranges := parsed.Rune
			if parsed.Op == syntax.OpAnyChar {
				ranges = []rune{0, unicode.MaxRune}
			} else if parsed.Op == syntax.OpLiteral {
				ranges = []rune{ranges[0], ranges[0]}
			}
			for i := 0; i+1 < len(ranges); i += 2 {
				for c := ranges[i]; c <= ranges[i+1]; c++ {
					if (c < 0xD800 || c > 0xDFFF) && !isAdded17(c) {
						hash.add(c)
						count++
					}
				}
			}
			row("U", name, flag, fmt.Sprint(count), fmt.Sprintf("%016x", uint64(hash)))
		}
	}
}

func orbits() {
	hash, count := fnv(14695981039346656037), 0
	for c := rune(0); c <= unicode.MaxRune; c++ {
		var orbit []rune
		for f := unicode.SimpleFold(c); f != c; f = unicode.SimpleFold(f) {
			orbit = append(orbit, f)
		}
		if len(orbit) == 0 || isAdded17(c) || slices.ContainsFunc(orbit, isAdded17) {
			continue
		}
		slices.Sort(orbit)
		hash.add(c)
		for _, f := range orbit {
			hash.add(f)
		}
		count++
	}
	row("F", fmt.Sprint(count), fmt.Sprintf("%016x", uint64(hash)))
}

var haystacks = []string{
	"", "a", "ab", "aab", "abc", "bab", "foo bar", "FOO", "5", "_", "k\u212a", "s\u017f", "\u00e9", "\u00c9a", "\u0663x", "\xff",
	"foo\xffbar", "a\xc3b", "\xe2\x82a", "a\nb", "\n", "a b", "a\u00a0b", "\v", `{"a":1}`, "{gid}", "<b>", "a&&b", "[a]", "a-z]",
	"a.b*c", `level=error msg="timeout 12ms"`, "\u65e5\u672c\u8a9e", "a\u2028b", "\U0001F600!", "\xf0\x9f\x98", "\ufffd",
	"aaaaaaaaaaaa", "a{2", "a{ 1 }", `\x`, "aBc", "\x80\x80", "-^]", "a{1, 2}", "a{01}",
}

var iterated = []string{
	`a`, `a*`, `a*?`, `b*|a`, ``, `\b`, `\B`, `.`, `(?s).`, `[^a]`, `[^a]*`, `x*`, `(?m)^`, `(?m)$`, `^`, `$`, `a|`, `|a`, `\w+`, `\W`, `\S+`, `[a\n]*`,
	`(?:a|b)*`, `\x{FFFD}`, `.{2}`, `(?i)[a-k]+`, `\z`, `\b|a`,
}

var replacements = [][2]string{
	{`a`, `<$0>`}, {`a*`, `-`}, {`(?P<x>a+)`, `[${x}]`}, {`(?P<x>a)`, `$xy$x`}, {`(a)(b)?`, `$2$1`}, {`(a)`, `$1x`}, {`(a)`, `${1}x`}, {`(a)`, `$$1`},
	{`(a)`, `$`}, {`(a)`, `$3`}, {`(a)`, `${1`}, {`(a)`, `${}`}, {`(\w)=(\d)`, `$2=$1`}, {`(?P<n>\w)=(?P<n>\d)`, `$n`}, {`(?P<n>x)|(?P<n>a)`, `<$n>`},
	{`.`, `.`}, {``, `-`}, {`\b`, `|`}, {`[^a]*`, `<$0>`}, {`(a)`, `$01`}, {`(a)`, `$-`}, {`(?P<_e>a)|a`, `$_`}, {`$`, `.`}, {`(a)|o`, `<$1>`},
}

func allPatterns() []string {
	all := append([]string{}, patterns...)
	for _, atom := range []string{
		`a`, `(a)`, `[ab]`, `\d`, `.`, `(?:ab)`, `(a|b)`, `(a|ab)(c|bcd)?`, `\b`, `^`, `$`, `\Qa.\E`, `(?i)k`, `[^a]`, `\pL`, `(a*)`, `(|a)`, `(a?)`, `()`, `(?:)`,
	} {
		for _, op := range []string{`*`, `+`, `?`, `{2}`, `{0}`, `{1,2}`, `{,2}`, `**`, `*?`, `+?`, `??`, `{2,}?`, `{0,1}b`, `*b`, `{1001}`, `{3,2}`, `{2}{3}`} {
			all = append(all, atom+op)
		}
	}
	for _, name := range []string{
		"alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word", "xdigit", "foo", "", "ALPHA",
	} {
		all = append(all, `[[:`+name+`:]]`, `[[:^`+name+`:]]+`, `[^[:`+name+`:]x]+`, `(?i)[[:`+name+`:]]{2}`)
	}
	for _, depth := range []int{249, 250, 300} {
		all = append(all, strings.Repeat("(", depth)+"a"+strings.Repeat(")", depth))
	}
	for _, depth := range []int{999, 1000} {
		all = append(all, strings.Repeat("(?:", depth)+"a"+strings.Repeat(")*", depth))
	}
	all = append(all, strings.Repeat("(", 1000)+"a"+strings.Repeat(")", 1000), strings.Repeat("(", 1001), strings.Repeat("(?:", 1500)+"a"+strings.Repeat(")", 1500))
	// Patterns at random: most of what they find is in the error texts.
	random := rand.New(rand.NewSource(1))
	for i := 0; i < 420; i++ {
		var b strings.Builder
		for n := 1 + random.Intn(7); n > 0; n-- {
			b.WriteString(tokens[random.Intn(len(tokens))])
		}
		all = append(all, b.String())
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(p string) bool {
		dup := seen[p]
		seen[p] = true
		return dup
	})
}

var tokens = []string{
	`a`, `b`, `c`, `ab`, `.`, `(`, `)`, `(?:`, `(a`, `b)`, `|`, `*`, `+`, `?`, `{2}`, `{1,}`, `{0,3}`, `{`, `}`, `[`, `]`, `[^`, `-`, `\d`, `\W`, `\s`, `\S`, `\b`, `\B`, `^`, `$`,
	`(?i)`, `(?s)`, `(?m)`, `(?U)`, `(?i:`, `(?-s:`, `\pL`, `\PL`, `\p{Greek}`, `[a-c]`, `[^b]`, `\Q`, `\E`, `\n`, `\x41`, `\101`, "\u00e9", `\.`, `&&`, `(?P<n>`, `\A`, `\z`, `[[:alpha:]]`, `:]`, `\`, "\u212a", "\ufffd",
}

var patterns = []string{
	`\PL\b|\B+`, `.\b|\B`, `\B|\pL\b`,
	`\d`, `^\d+$`, `\w`, `^\w+$`, `\s`, `^\s$`, `\S`, `^\S$`, "\u00e9\\b", "\\b\u00e9", `\B`, `^\W$`, `^\D$`, `[\d]`,
	`[^\d]`, `[\w-]+`, `[^\w]`, `[[:^alpha:]]`, `.`, `^.$`, `^.*$`, `(?s)^.*$`, `(?s)^.$`, `foo.bar`, `(?s)foo.bar`,
	`[^a]`, `^[^a]$`, `{`, `a{`, `{foo}`, `a{,2}`, `a{,}`, `a{2`, `a{x}`, `{"a":`, `a{1001}`, `(a{1000}){2}`,
	`a{2}{3}`, `a**`, `a*+`, `a++`, `a*??`, `a?*`, `a+*`, `\b+`, `\<b\>`, `\<b`, `\0`, `\07`, `\123`, `\u0041`,
	`\U00000041`, `\x{D800}`, `\Qa.b\E`, `\Qa{\E`, `\Q[`, `\Q\E`, `\Qab\E+`, `\p{^Greek}`, `\P{Greek}`, `\P{^Greek}`,
	`\p{Any}`, `\p{Assigned}`, `\p{gc=Lu}`, `\p{sc=Greek}`, `\p{Script=Greek}`, `\p{Alphabetic}`, `[^\p{L}]`,
	`\p{IsGreek}`, `\p{ White_Space }`, `[[a]`, `[a[b]c]`, `[[]`, `[^]]`, `[^]a]`, `[a&&b]`, `[a-z&&[^b]]`, `[a--b]`,
	`[&&]`, `[--b]`, `[\d-z]`, `[[:foo:]]`, `[[.a.]]`, `[[=a=]]`, `[[:ALPHA:]]`, `[\pL\d]`, `[[]]`, `[a[]`,
	`(?P<0n>a)`, `(?P<n.m>a)`, "(?P<n\u00e9>a)", `(?P<n>a)(?P<n>b)`, `(?P<n[0]>a)`, `(?x)a b`, `(?u)a`, `(?R)a$`,
	`(?-u)a`, `(?)a`, `(?ii)a`, `(?i-i)a`, `\b{2}`, `\b{start}`, `\b{start-half}`, `\b{end}`, `(a){0}`,
	`(?P<x>a){0}`, `a{01}`, `a{ 1 }`, `a{1, 2}`, `(?-u)\xff`, `(?-u:\xff)`, `\x{FFFD}`, `[^\x00-\x7f]`, `(?i)[^k]`,
	`(?i)[^s]`, `((a{100}){10}){2}`, `(\w{100}){10}`, `\pL{1000}`, `(?i)\pL{500}`, `(\pL{100}){10}`,
	`((a{10}){10}){10}{1}`, `a`, `ab`, `a|b`, `abc|abd`, `a||b`, `|`, `(|a)*`, `(|a)+`, `(a|)+`, `(a*)*`, `(a*)+`,
	`(a+)*`, `(a*?)*`, `(a|b)*c`, `(a|b*)*`, `(?:(a)|b)*`, `((a)|(b))*`, `(a)(b)?(c)?`, `(?P<x>a)(?P<y>b)`,
	`(?<x>a)`, `(?P<x>)`, `(?P<>a)`, `(?P<x`, `(?P<x>`, `(?P<`, `(?P=x)`, `(?P>x)`, `(?P`, `(?<`, `(?<x`, `(?<=a)`,
	`(?<!a)`, `(?=a)`, `(?!a)`, `(?>a)`, `(?#a)`, `(?`, `(?:`, `(?i`, `(?i-`, `(?-`, `(?-)`, `(?-i)a`, `(?i-s-m)a`,
	`(?i-:a)`, `(?im-sU:a.b)`, `(?i:a)b`, `(?i)abc`, `(?i)k`, `(?i)s`, `(?i)[k]`, `(?i)[^\w]`, `(?i)\W`, `(?i)\w+`,
	`(?i)\d`, "(?i)\u00e9", "(?i)\u2167", `(?i)[a-f]+`, `(?i)[^a-z]+`, `(?i)\pLu`, `(?i)\p{Lu}`, `(?i)\P{Lu}`,
	`(?i)[\P{Lu}]`, `(?i)[^\P{Lu}]`, `(?i)\p{Greek}`, `(?i)foo`, `(?i)(?-i)foo`, `(?i:(?-i)F)o`, `(?s).*`, `(?s)a.b`,
	`(?-s).*`, `(?m)^b$`, `(?m)^$`, `(?m)a$`, `(?m)^.*$`, `(?m-m)^b`, `(?U)a+`, `(?U)a+?`, `(?U)a*b`, `(?U:a{1,2})`,
	`(?Ui)A{1,}`, `(?s-s).`, `(?mi)^B`, "(?\u00e9)", `(?z)`, "(?P<\u00e9>a)", `(?P<a-b>c)`, `(?P<x>a)|(?P<x>b)`,
	`(?<1>a)`, `*`, `+`, `?`, `**`, `+a`, `|*`, `(*)`, `(+a)`, `(|*)`, `a|*`, `^*`, `$*`, `^+`, `$?`, `^{2}`, `\b*`,
	`(?i)*`, `a(?i)*`, `a*(?i)*`, `a*\Q\E*`, `a\Q\E*`, `(?:)*`, `()*`, `(^)*`, `(^a)+`, `(a$)*`, `{2}`, `{,2}`,
	`{2,`, `a{2,}`, `a{2,3}`, `a{2,3}?`, `a{3,2}`, `a{0}`, `a{0,0}`, `a{1000}`, `a{0,1000}`, `a{1000,}`, `a{1001,}`,
	`a{0,1001}`, `a{99999999}`, `a{100000000}`, `a{99999999999999999999}`, `a{1,99999999999999999999}`, `a{0002}`,
	`a{-1}`, `a{2}*`, `a{2}+`, `a{2}?`, `a{2}??`, `a*{2}`, `a?{2}`, `(a{2}){3}`, `(a{2})*`, `(a{500}){2}`,
	`(a{501}){2}`, `(a{1000}){1}`, `(a{1000}){0}`, `(a{1000}){0,1}`, `(a{1000})*`, `((a{100}){5})*{2}`,
	`(?:a{40}){30}`, `(?:(?:a{10}){10}){10}`, `(?:(?:a{10}){10}){11}`, `(a{1000}){2}?`, `(?:(a{0}){500}){3}`,
	`x{2}{3}`, `a.{3}b`, `.{3}`, `^.{2}$`, `^..$`, `^...$`, "^[^\u00e9]*$", "[^\u00e9]", "[^\u00e9]+$", `^\W+$`,
	`^[^x]{3}$`, "\u00e9", "\u00e9*", "\u00e9a", "\u00c9", "[\u00e9-\u00fc]", `[^a-z]`, `(.)(.)`, `(.*)(.)`,
	`(.*?)(.)`, `(\W)(\W)`, `\x80`, `\xff`, `\xFF`, `\x{ff}`, `\x{fffd}`, `\x{FFFD}+`, `[\x{FFFD}]`, `[^\x{FFFD}]`,
	`[a\x{FFFD}]`, `a\x{FFFD}b`, `foo\x{FFFD}bar`, `(?i)\x{FFFD}`, `\x{10FFFF}`, `\x{110000}`, `\x{0}`, `\x{}`,
	`\x{g}`, `\x{41`, `\x{`, `\x`, `\x4`, `\xg`, `\xgg`, `\x4g`, `\x41`, `\00`, `\000`, `\0000`, `\1`, `\12`, `\18`,
	`\8`, `\9`, `\777`, `\a\f\t\n\r\v`, `\n`, `\v`, `\_`, `\-`, "\\\u00e9", `\e`, `\c`, `\C`, `\E`, `\G`, `\K`, `\R`,
	`\X`, `\Z`, `\h`, `\N`, `\L`, `\Q`, `\Qa`, `\Qa\E`, `\Qa\\E`, `\Q\\E`, `\Qab\E*`, `\Q\Qa\E`, `a\Eb`, `\`, `a\`,
	`[\`, `[\\`, `(\`, `\A`, `\z`, `\Aa`, `a\z`, `\Aa\z`, `\A*`, `^^a`, `a$$`, `a^`, `$a`, `^`, `$`, `^$`, `\b`,
	`\bfoo\b`, `\Bo`, `o\B`, `\B\B`, `\b\B`, `\W`, `\D`, `[\s\S]`, `[\d\D]+`, `[\w.]+`, `[\W]`, `[^\W]`, `[^\S]`,
	`[^\s]+`, `[^\d\s]+`, `[\D5]`, `[a`, `[`, `[]`, `[]a`, `[]]`, `[]a]`, `[^]`, `[^]a`, `[^`, `[^^]`, `[a^]`,
	`[a-]`, `[-a]`, `[a-c-e]`, `[a--]`, `[--a]`, `[a-b-]`, `[z-a]`, `[a-\d]`, `[\d-a]`, `[\d-]`, `[\w-a]`,
	`[a-\x{FF}]`, `[\x00-\x{10FFFF}]`, `[^\x00-\x{10FFFF}]`, `[^\x00-\x{10FFFF}]|a`, `[\a\f\t\n\r\v]`, `[\Q]`,
	`[\E]`, `[\Qa\E]`, `[\b]`, `[\B]`, `[\A]`, `[\z]`, `[\C]`, `[\101]`, `[\0]`, `[\1]`, `[\8]`, `[\x41-\x43]`,
	`[\-]`, `[\]]`, `[a\]b]`, `[a\-z]`, `[.]`, `[.*+?()|{}^$]+`, `[[a]]`, `[[:alpha:]`, `[[:alpha:`, `[[:alpha`,
	`[:alpha:]`, `[[:alpha:][:digit:]]`, `[[:alpha:]-z]`, `[a-[:alpha:]]`, `[^[:^alpha:]]`, `[[:alpha:]&&[a]]`,
	`[a~~b]`, `[a||b]`, "[\u00e9]", "[^\u00e9]{2}", "[\u65e5\u672c]", "[\u65e5-\u8a9e]+", `[\pL]`, `[\p{L}\d]`,
	`[^\pL]`, `[\PL]`, `[^\PL]`, `[\p{^L}]`, `\pL`, `\PL`, `\pLu`, `\pl`, `\pZ`, `\pN+`, `\pX`, `\p`, `\P`, `\p{`,
	`\p{}`, `\p{L`, `\p{L}`, `\p{Lu}`, `\p{lu}`, `\p{LU}`, `\p{L u}`, `\p{L_u}`, `\p{-L-u-}`, `\p{Letter}`,
	`\p{letter}`, `\p{Uppercase_Letter}`, `\p{uppercaseletter}`, `\p{Latin}`, `\p{Latn}`, `\p{latin}`, `\p{Greek}`,
	`\p{^^Greek}`, `\p{Han}+`, `\p{Hiragana}`, `\P{Any}`, `\p{any}`, `\p{ASCII}`, `\P{ASCII}+`, `\p{Cn}`, `\p{C}`,
	`\p{Cs}`, `\P{Cs}`, `\p{LC}`, `\p{L&}`, `\p{punct}`, `\p{digit}`, `\p{cntrl}`, `\p{White_Space}`,
	`\p{Lowercase}`, `\p{InGreek}`, `\p{L}\p{L}`, "\\p\u00e9", "\\p\u65e5", `(a`, `a)`, `(`, `)`, `()`, `(()`, `())`,
	`(a))`, `((a)`, `)(`, `(a)(b)(c)`, `(a(b(c)))`, `((((a))))`, `(a)|b`, `(a)|(b)`, `a(b|c)`, `(?:a)(b)`,
	`(?:(?:a))`, `(?i:(a)|B)`, `(a){0}(b)`, `(?P<n>a){0}(?P<m>b)`, `((a)(b)){0}(c)`, `(b)((a)){0}`, `(a){0}|(b)`,
	`(a){0,0}b`, `(a){0}*`, `(a)|b{0}`, `(?:(a){0}b)+`, `a.c`, `a\.b`, `a.b`, `foo.*bar`, `.*foo.*`, `^foo`, `bar$`,
	`^foo bar$`, `level=error.*timeout`, `level=(\w+) msg="([^"]*)"`, `(?P<level>level)=(?P<value>\w+)`, `\d+ms`,
	`(\d+)(ms|s)`, `error|timeout`, `(?i)ERROR|TIMEOUT`, `{}`, `{{`, `}`, `{a}`, `a{}`, `a{2x}`, `a{2,x}`,
	`{"a":\d}`, `{gid}`, `]`, `a]`, `<b>`, `a&&b`, `\[a\]`, `[[]a]`, `-`, `\-\^\]`, `a{1}{0}`, `x*`, `a+?b`, `a*?b`,
	`a??b`, `(a+?)(a*)`, `(a*?)(a*)`, `(a|ab)(bc|c)?`, `(a|aa)(a|aa)`, `(ab|a)b*`, `a(?:b|c|d){2}`, `(?:a|ab|abc)$`,
	`(?:a|ab|abc)\b`, `(?:aa|a)+?b`, `K`, "\u017f", `[[:word:]]\b`, `(?i)K`, "(?i)\u017f", `(?i)ss`, "(?i)[\u017f]",
	`(?i)\x{212a}`, `\x{D800}a`, `[\x{D700}-\x{E000}]`, `[\x{D800}-\x{DFFF}]`, `[^\x{D800}-\x{DFFF}]`,
	`(?i)[\x{D800}]`, "\u65e5\u672c", "\u65e5.\u8a9e", ".\u672c.", `^\pL+$`, `^\PL+$`, `\x{1F600}`, "[\U0001f600]",
	"[^\U0001f600]", `.!`, `a b`, `a\ b`, `a\x20b`, `a\sb`, `a\Sb`, `a\Wb`, `\/`, `\"`, `\'`, `\#`, `\@`, `\~`,
	"\\`",
}
