package mimetree

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bridgehead-mail/bridgehead/internal/content"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

const nested = `From: a
Content-Type: multipart/mixed; boundary="out"

preamble
--out
Content-Type: multipart/alternative; boundary=in

--in

text
--in
Content-Type: text/html
Content-Transfer-Encoding: quoted-printable

<p>=C3=A4</p>
--in--
epilogue
--out
Content-Type: message/rfc822

Subject: enclosed
Content-Type: application/zip; name="a b.zip"
Content-Transfer-Encoding: base64
Content-Disposition: attachment;
	filename*0*=utf-8''%C3%A4;
	filename*1=".zip"

aGVsbG8=

--out--
--in
not a part
`

func TestPartOffsets(t *testing.T) {
	msg := crlf(nested)
	c := content.Of([]byte(msg))
	parts, err := Parse(c, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range parts {
		b, err := io.ReadAll(p.Open(c))
		if err != nil {
			t.Error(err)
		}
		s := fmt.Sprintf("%d %s", p.Parent, p.Type)
		if p.Leaf() {
			s += fmt.Sprintf(" %q", b)
		}
		if p.Start > p.Body || p.Body > p.End || p.End > int64(len(msg)) {
			t.Errorf("%s: offsets %d %d %d", s, p.Start, p.Body, p.End)
		}
		got = append(got, s)
	}
	want := []string{
		"-1 multipart/mixed",
		"0 multipart/alternative",
		`1 text/plain "text"`,
		`1 text/html "<p>ä</p>"`,
		"0 message/rfc822",
		`4 application/zip "hello"`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("parts are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if n := parts[5].Names(); !slices.Equal(n, []string{"ä.zip", "a b.zip"}) {
		t.Errorf("names %q", n)
	}
	if p := parts[3]; msg[p.Start:p.Start+12] != "Content-Type" || msg[p.End:p.End+6] != "\r\n--in" {
		t.Errorf("the offset of the html part: %q", msg[p.Start:p.End])
	}
}

func TestNamesInEveryForm(t *testing.T) {
	for _, c := range []struct{ header, want string }{
		{`Content-Disposition: attachment; filename=evil.exe`, "evil.exe"},
		{`Content-Disposition: attachment; filename = "evil.exe" ; size=3`, "evil.exe"},
		{`Content-Type: application/x; name=two words.exe`, "two words.exe"},
		{`Content-Type: application/x; name="=?utf-8?B?ZXZpbC5leGU=?="`, "evil.exe"},
		{`Content-Type: application/x; name="=?iso-8859-1?Q?=E4.exe?="`, "ä.exe"},
		{`Content-Disposition: attachment; filename*=iso-8859-1'de'%E4.exe`, "ä.exe"},
		{`Content-Disposition: attachment; filename*1=".exe"; filename*0="evil"`, "evil.exe"},
		{"Content-Disposition: inline\r\nContent-Disposition: attachment; filename=evil.exe", "evil.exe"},
		{`Content-Disposition: attachment; filename="ok.txt"; filename="evil.exe"`, "evil.exe"},
		{`Content-Disposition: attachment; filename="ev\il.exe`, "evil.exe"},
		// Names that one program reads differently from others.
		{`Content-Disposition: attachment; filename*=utf-8''%zz.ex%65`, "%zz.exe"},
		{`Content-Disposition: attachment; filename*0*=utf-8''evil.ex%6; filename*1*=5`, "evil.exe"},
		{`Content-Disposition: attachment; filename*0=evil; filename*2=.exe`, "evil.exe"},
		{`Content-Disposition: attachment; filename*1=evil; filename*2=.exe`, "evil.exe"},
		{`Content-Disposition: attachment; filename*0=ok.txt; filename*0=evil.exe`, "evil.exe"},
		{`Content-Disposition: attachment; filename*=iso-2022-kr''evil.exe`, "evil.exe"},
		{`Content-Disposition: attachment; filename *=utf-8''evil.exe`, "evil.exe"},
		{`Content-Disposition: attachment; filename(a;b=c)="evil.exe"`, "evil.exe"},
		{`Content-Disposition: attachment; (a=b) filename=evil.exe`, "evil.exe"},
		{`Content-Disposition: attachment; filename=(c (d))"evil.exe"`, "evil.exe"},
		{`Content-Disposition: attachment; filename=evil.exe (c)`, "evil.exe"},
		{`Content-Disposition: attachment; filename=evil.exe x`, "evil.exe"},
		{`Content-Disposition: attachment; filename=report (1).exe`, "report (1).exe"},
		{`Content-Disposition: attachment; filename="evil".exe`, "evil.exe"},
		{`Content-Type: application/x; name="=?utf-8?b?ZXZpbC5leGU?="`, "evil.exe"},
		{`Content-Type: application/x; name="=?utf-8*en?q?evil?=.exe"`, "evil.exe"},
		{`Content-Type: application/x; name="=?x-unknown?q?evil.ex=65?="`, "evil.exe"},
		{`Content-Type: application/x; name="=?iso-2022-kr?q?evil.exe?="`, "evil.exe"},
		{`Content-Type: application/x; name="=?utf-8?q?evil.?= =?utf-8?q?exe?="`, "evil.exe"},
		{`Content-Type: application/x; name="=?utf-8?q?=evil.exe?="`, "=evil.exe"},
		// A backslash is an escape or a Windows path separator.
		{`Content-Disposition: attachment; filename="C:\x\evil.exe"`, `C:\x\evil.exe`},
		{`Content-Disposition: attachment; filename="C:\x\evil.exe"`, "C:xevil.exe"},
		{`Content-Disposition: attachment; filename=x\evil.exe`, `x\evil.exe`},
		{`Content-Disposition: attachment; filename=ev\il.exe`, "evil.exe"},
		{`Content-Disposition: attachment; filename="x\"; name=evil.exe; x="`, "evil.exe"},
		{`Content-Disposition: attachment; filename="x\"; name=evil.exe; x="`, `x"; name=evil.exe; x=`},
		{`Content-Type: a/b; name="=?utf-8?q?ev\il?=.exe"`, `evil.exe`},
		// UTF-7.
		{`Content-Disposition: attachment; filename="=?utf-7?Q?evil+AC4-exe?="`, "evil.exe"},
		{`Content-Disposition: attachment; filename="=?UTF-7?B?ZXZpbCtBQzQtZXhl?="`, "evil.exe"},
		{`Content-Disposition: attachment; filename="=?unicode-1-1-utf-7?Q?evil+AC4-exe?="`, "evil.exe"},
		{`Content-Disposition: attachment; filename*=utf-7''evil%2BAC4-exe`, "evil.exe"},
		// Semicolons are missing.
		{`Content-Disposition: attachment filename="evil.exe"`, "evil.exe"},
		{`Content-Disposition: filename="evil.exe"`, "evil.exe"},
		{`Content-Disposition: attachment; size=3 filename=evil.exe`, "evil.exe"},
		{`Content-Disposition: attachment; x="y" filename="evil.exe"`, "evil.exe"},
		{`Content-Disposition: attachment; x=y filename*=utf-8''evil.exe`, "evil.exe"},
		{`Content-Type: a/b name="evil.exe"`, "evil.exe"},
		{`Content-Type: a/b (c) name="evil.exe"`, "evil.exe"},
		{"CONTENT-DISPOSITION : attachment;\r\n\tFileName=\"evil\r\n .exe\"", "evil .exe"},
	} {
		parts, err := Parse(content.Of([]byte(c.header+"\r\n\r\nx")), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if n := parts[0].Names(); !slices.Contains(n, c.want) {
			t.Errorf("%s: names %q, want %q", c.header, n, c.want)
		}
	}
}

// Unclear returns a reason if mail programs may read other parts.
func TestUnclear(t *testing.T) {
	for header, want := range map[string]string{
		"Content-Type: text/plain":                                                               "",
		"Content-Type: text/plain\r\nContent-Type: TEXT/plain":                                   "",
		"Content-Type: text/plain\r\nContent-Type: text/html":                                    "",
		"Content-Type: text/plain\r\nContent-Type: multipart/mixed; boundary=b":                  "media type",
		"Content-Type: multipart/mixed; boundary=b\r\nContent-Type: text/plain":                  "media type",
		"Content-Type: text/plain\r\nContent-Type: message/rfc822":                               "media type",
		"Content-Type: multipart/mixed; boundary=b\r\nContent-Type: multipart/mixed; boundary=b": "",
		"Content-Type: multipart/mixed; boundary=b\r\nContent-Type: multipart/mixed; boundary=c": "boundary",
		"Content-Type: multipart/mixed; boundary=b; boundary=c":                                  "boundary",
		"Content-Type: multipart/mixed; boundary=b c":                                            "boundary",
		"Content-Type: multipart/mixed; boundary=b (c)":                                          "boundary",
		"Content-Type: multipart/mixed; boundary=\"b (c)\"":                                      "",
		"Content-Type: (x) multipart/mixed; boundary=b":                                          "",
		"Content-Type: multipart/mixed":                                                          "boundary",
		"Content-Type: multipart/mixed; boundary=" + strings.Repeat("b", 1001):                   "boundary",
		"Content-Type: multipart/mixed; boundary*0=b; boundary*1=c":                              "",
		"Content-Type: multipart/mixed; boundary*0=b; boundary=c":                                "boundary",
		"Content-Type: multipart/mixed; boundary*0=b; boundary*2=c":                              "boundary",
		"Content-Type: text/plain" + strings.Repeat("; a=b", 101):                                "header",
		strings.Repeat("Content-Type: text/plain\r\n", 11) + "Subject: x":                        "header",
		"Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64":                   "transfer encoding",
		"Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: BASE64 (x)":             "",
		"Content-Transfer-Encoding: x-uuencode":                                                  "",
		// An invalid media type is text/plain (RFC 2045, 5.2), unless a program may find parts.
		"Content-Type: text":                                           "",
		"Content-Type: garbage; x":                                     "",
		"Content-Type:":                                                "",
		"Content-Type: text/html charset=utf-8":                        "",
		"Content-Type: multipart":                                      "media type",
		"Content-Type: multipart; boundary=b":                          "media type",
		"Content-Type: multipart/mixed boundary=b":                     "media type",
		"Content-Type: multipart/mixed/x; boundary=b":                  "media type",
		"Content-Type: message/rfc822 x":                               "media type",
		"Content-Type: multipart/mixed; boundary=\"b\\c\"":             "boundary",
		"Content-Type: multipart/mixed; boundary=b\r\nContent-Type: x": "media type",
		// A field that only some programs read.
		"Content-Type\r\n : application/zip; name=a.zip":       "header",
		"Content-Disposition\r\n\t: attachment":                "header",
		"Subject: x\r\nContent-Transfer-Encoding\r\n : base64": "header",
		" Content-Type: application/zip":                       "header",
		"\u00a0Content-Type: application/zip":                  "header",
		"Content-Type\u00a0: application/zip":                  "header",
		"no field\r\nContent-Type: application/zip":            "header",
		"no field\r\n Content-Type: application/zip":           "header",
		"Subject: x\r\n Content-Type: application/zip":         "",
		"no field\r\nSubject: x":                               "",
		"From a@example.org Sat Nov 28 2026\r\nSubject: x":     "",
		"Content-Type: text/plain\r\nno field":                 "",
		"Content-Type : application/zip":                       "",
		// A name in a charset that is unknown here, but known to other programs.
		"Content-Type: a/b; name=\"=?ibm037?q?=85=A7=85?=\"":                            "file name",
		"Content-Type: a/b; name=\"=?utf-32?b?AAAA?=\"":                                 "file name",
		"Content-Type: a/b; name=\"=?utf-16?b?AC4=?=\"":                                 "file name",
		"Content-Type: a/b; name=\"=?utf-16?b?/v8ALg==?=\"":                             "",
		"Content-Type: a/b; name=\"=?utf-16be?b?AC4=?=\"":                               "",
		"Content-Disposition: a; filename*=cp1047''%85":                                 "file name",
		"Content-Type: a/b; name=\"=?x-unknown?q?a.txt?=\"":                             "",
		"Content-Type: a/b; name=\"=?cp850?q?a.txt?=\"":                                 "",
		"Content-Type: a/b; name=\"=?utf-7?q?a+AC4-txt?=\"":                             "",
		"Content-Type: a/b; title=\"=?ibm037?q?=85?=\"":                                 "",
		"Content-Transfer-Encoding: x-uuencode\r\nContent-Type: text/plain; name=a.zip": "transfer encoding",
	} {
		parts, err := Parse(content.Of([]byte(header+"\r\n\r\nx")), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got := parts[0].Unclear(); got != want {
			t.Errorf("%.80s: %q, want %q", header, got, want)
		}
	}
}

func TestBoundaryInTheFormOfRFC2231(t *testing.T) {
	parts, err := Parse(content.Of([]byte("Content-Type: multipart/mixed; boundary*0*=us-ascii''b%63; boundary*1=d\r\n\r\n--bcd\r\nContent-Type: a/b\r\n\r\n--bcd--")), Limits{})
	if err != nil || len(parts) != 2 || parts[1].Type != "a/b" {
		t.Errorf("%+v, %v", parts, err)
	}
}

func TestMatch(t *testing.T) {
	for _, name := range []string{
		"evil.exe", "EVIL.EXE", "evil.exe.", "evil.exe ..", "evil.exe \x00", "evil.exe .\x00", "evil.exe\x00.txt", `C:\dir\evil.exe`,
		"dir/evil.exe/", "evil.exe::$DATA", "evil.exe:x", `evil.exe"`, "evil.exe\u00a0", "evil.exe\u200b", "ev\u202eil.exe",
		"e\x01vil.exe", "evil.\nexe", strings.Repeat("x", 70000) + ".exe",
	} {
		if !Match("*.Exe", name) {
			t.Errorf("%.40q does not match", name)
		}
	}
	for _, name := range []string{"", "exe", "evil.exe.txt", "evil_exe", "e:vil.txt"} {
		if Match("*.exe", name) {
			t.Errorf("%q matches", name)
		}
	}
	if !Match("invoice*", "Invoice"+strings.Repeat("x", 70000)) {
		t.Error("a long name's beginning does not match")
	}
}

// The benchmark measures names, words and parameters of messages that are made to
// be slow. Twice the input takes about twice as long.
func BenchmarkHostileHeaders(b *testing.B) {
	for name, header := range map[string]string{
		"params":   "Content-Type: a/b" + strings.Repeat("; name*=x", 6000),
		"fields":   strings.Repeat("Content-Type: a/b; name*=x; name=y\r\n", 1500),
		"comments": "Content-Type: a/b" + strings.Repeat("(", 60000),
		"words":    "Content-Type: a/b; name=\"" + strings.Repeat("=?a?q?", 10000) + "\"",
	} {
		c := content.Of([]byte(header + "\r\n\r\nx"))
		b.Run(name, func(b *testing.B) {
			b.SetBytes(c.Size())
			for b.Loop() {
				parts, err := Parse(c, Limits{})
				if err != nil {
					b.Fatal(err)
				}
				parts[0].Names()
			}
		})
	}
}

func TestLimits(t *testing.T) {
	deep := ""
	for i := range 50 {
		deep += fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	for name, msg := range map[string]string{
		"depth":    deep,
		"messages": strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 50),
		"parts":    "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\n", 2000),
		"header":   "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + strings.Repeat("X-A: b\r\n", 20000),
	} {
		_, err := Parse(content.Of([]byte(msg)), Limits{})
		if err == nil || !strings.Contains(err.Error(), "too complex") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(crlf(nested)))
	f.Add([]byte("Content-Type: multipart/digest; boundary=\"a\"\r\n\r\n--a\r\n\r\nSubject: x\r\n--a--"))
	f.Add([]byte("Content-Type: multipart/mixed; boundary=\r\n\r\n--\r\n--"))
	f.Add([]byte("Content-Type: message/rfc822\r\n\r\nContent-Disposition: x; filename*=''%zz; filename*0=\"\\"))
	f.Fuzz(func(t *testing.T, msg []byte) {
		c := content.Of(msg)
		parts, err := Parse(c, Limits{Parts: 50, Depth: 10})
		if err != nil {
			return
		}
		for i, p := range parts {
			if p.Start > p.Body || p.Body > p.End || p.End > c.Size() || p.Parent >= i {
				t.Fatalf("part %d of %q: %+v", i, msg, p)
			}
			if p.Parent >= 0 && (p.Start < parts[p.Parent].Body || p.End > parts[p.Parent].End) {
				t.Fatalf("part %d of %q is not within %d", i, msg, p.Parent)
			}
			p.Names()
			p.Types()
			io.Copy(io.Discard, p.Open(c))
		}
	})
}

// RFC 2045, 5.2: an invalid media type counts as text/plain. Types returns what
// other programs may read.
func TestInvalidMediaType(t *testing.T) {
	for value, want := range map[string]string{
		"text/html":                      "text/html",
		"TEXT/Html; x=y":                 "text/html",
		"text":                           "text/plain text",
		"text; charset=us-ascii":         "text/plain text",
		"":                               "text/plain ",
		"/":                              "text/plain /",
		"text/html charset=x":            "text/plain text/html text/html charset=x",
		"application/zip name=\"a.zip\"": "text/plain application/zip application/zip name=\"a.zip\"",
		"garbage; x":                     "text/plain garbage",
		"a/b/c":                          "text/plain a/b/c",
	} {
		parts, err := Parse(content.Of([]byte("Content-Type: "+value+"\r\n\r\nx")), Limits{})
		if err != nil || strings.Join(parts[0].Types(), " ") != want || parts[0].Type != strings.Fields(want)[0] {
			t.Errorf("%s: %q, %v, want %q", value, parts[0].Types(), err, want)
		}
	}
}

// A part has a limited number of names. A part with more is unclear.
func TestManyNames(t *testing.T) {
	for n, want := range map[int]string{maxNames: "", maxNames + 1: "header", 2 * maxNames: "header"} {
		var b strings.Builder
		for i := range n {
			if i%50 == 0 {
				b.WriteString("\r\nContent-Disposition: attachment")
			}
			fmt.Fprintf(&b, "; filename=%d.txt", i)
		}
		parts, err := Parse(content.Of([]byte(b.String()[2:]+"\r\n\r\nx")), Limits{})
		if err != nil || len(parts[0].Names()) != maxNames || parts[0].Unclear() != want {
			t.Errorf("%d names: %d are found, unclear %q, %v", n, len(parts[0].Names()), parts[0].Unclear(), err)
		}
	}
}

// A header of 16 times the size takes about 16 times as long. Quadratic work
// would take 256 times as long.
func TestTimeIsLinear(t *testing.T) {
	names := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	for name, header := range map[string]func(n int) string{
		"params":    func(n int) string { return "Content-Type: a/b" + strings.Repeat("; name*=x", n) },
		"fields":    func(n int) string { return strings.Repeat("Content-Type: a/b; name*=x; name=y\r\n", n) },
		"comments":  func(n int) string { return "Content-Type: a/b" + strings.Repeat("(", n) },
		"words":     func(n int) string { return "Content-Type: a/b; name=\"" + strings.Repeat("=?a?q?", n) + "\"" },
		"UTF-7":     func(n int) string { return "Content-Type: a/b; name*=utf-7''" + strings.Repeat("+", n) },
		"no quotes": func(n int) string { return "Content-Type: a/b; name=" + strings.Repeat("x y=z ", n) },
		"quotes":    func(n int) string { return "Content-Type: a/b; name=" + strings.Repeat("\"x\" y=z ", n) },
		"backslash": func(n int) string { return "Content-Type: a/b; name=" + strings.Repeat("\"x\\\"\";", n) },
		"no field":  func(n int) string { return strings.Repeat("x\r\n", n) },
		"folding":   func(n int) string { return "x" + strings.Repeat("\r\n content", n) },
		"many names": func(n int) string {
			return strings.Repeat("Content-Type: a/b"+names(n/10, ";name=\"=?a?q?%06d?=\"x")+"\r\n", 10)
		},
	} {
		measure := func(n int) time.Duration {
			c := content.Of([]byte(header(n) + "\r\n\r\nx"))
			best := time.Hour
			for range 3 {
				began := time.Now()
				if _, err := Parse(c, Limits{Header: 1 << 30}); err != nil {
					t.Fatal(err)
				}
				best = min(best, time.Since(began))
			}
			return best
		}
		linear := false
		for try := 0; try < 4 && !linear; try++ { // the machine may be busy
			linear = measure(16_000) < 100*max(measure(1000), 100*time.Microsecond)
		}
		if !linear {
			t.Errorf("%s: %v, of 16 times the size %v", name, measure(1000), measure(16_000))
		}
	}
}
