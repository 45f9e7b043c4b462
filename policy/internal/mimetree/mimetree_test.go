package mimetree

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

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

func TestPartsStandWhereTheyAre(t *testing.T) {
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
		t.Errorf("the html part stands at %q", msg[p.Start:p.End])
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
