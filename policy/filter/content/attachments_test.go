package content_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	inner "github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/policy/filter/content"
	"github.com/bridgehead-mail/bridgehead/policy/internal/agenttest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

func zipped(fs ...string) string {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(fs); i += 2 {
		w, _ := z.Create(fs[i])
		w.Write([]byte(fs[i+1]))
	}
	z.Close()
	return b.String()
}

func tarred(fs ...string) string {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(fs); i += 2 {
		w.WriteHeader(&tar.Header{Name: fs[i], Mode: 0o600, Size: int64(len(fs[i+1]))})
		w.Write([]byte(fs[i+1]))
	}
	w.Close()
	return b.String()
}

func gzipped(name, s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Name = name
	z.Write([]byte(s))
	z.Close()
	return b.String()
}

// with returns a message with a text and an attachment of the given name.
func with(name, data string) string {
	return "From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n" +
		"--b\r\n\r\ntext\r\n" + attachment(name, data) + "--b--\r\nepilogue\r\n"
}

func attachment(name, data string) string {
	e := base64.StdEncoding.EncodeToString([]byte(data))
	return "--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"" + name + "\"\r\n\r\n" + e + "\r\n"
}

var a = &content.Attachments{Names: []string{"*.exe", "*.js"}, Types: []string{"application/x-msdownload", "application/x-evil"}}

// v7 returns a tar archive in the format before POSIX: without the magic
// number.
func v7(s string) string {
	b := []byte(s)
	for i := 257; i < 265; i++ {
		b[i] = 0
	}
	sum := 0
	for i, c := range b[:512] {
		if 148 <= i && i < 156 {
			c = ' '
		}
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return string(b)
}

// unicodePath gives a file in a zip archive another name in an extra field.
func unicodePath(name, other string) string {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	extra := binary.LittleEndian.AppendUint16(nil, 0x7075)
	extra = binary.LittleEndian.AppendUint16(extra, uint16(5+len(other)))
	extra = append(extra, 1)
	extra = binary.LittleEndian.AppendUint32(extra, crc32.ChecksumIEEE([]byte(name)))
	w, _ := z.CreateHeader(&zip.FileHeader{Name: name, Extra: append(extra, other...)})
	w.Write([]byte("x"))
	z.Close()
	return b.String()
}

// Attachments that are hidden in archives and messages, or that only some
// programs recognize.
func TestHiddenAttachments(t *testing.T) {
	evil := zipped("evil.exe", "x")
	nice := zipped("nice.txt", "x")
	eml := func(encoding, body string) string {
		return "Subject: s\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: " + encoding + "\r\n\r\n" + body + "\r\n--o--\r\n"
	}
	for _, c := range []struct{ name, message, found string }{
		{"junk before it", with("a.zip", "junk"+evil), "a.zip: evil.exe"},
		{"a spanning marker", with("a.bin", "PK\x07\x08"+evil), "a.bin: evil.exe"},
		{"an old spanning marker", with("a.bin", "PK00"+evil), "a.bin: evil.exe"},
		{"recognized by its media type", strings.Replace(with("a.bin", "junk"+evil), "application/octet-stream", "application/zip", 1), "a.bin: evil.exe"},
		{"not in the zip directory", with("a.zip", evil[:bytes.Index([]byte(evil), []byte("PK\x01\x02"))]+nice), "a.zip: evil.exe"},
		{"in the first of two zip directories", with("a.zip", evil+nice), "a.zip: evil.exe"},
		{"a zip without a directory", with("a.zip", evil[:bytes.Index([]byte(evil), []byte("PK\x01\x02"))]), "a.zip (archive cannot be read)"},
		{"under its Unicode path", with("a.zip", unicodePath("nice.txt", "evil.exe")), "a.zip: evil.exe"},
		{"in a parent folder", with("a.zip", zipped("../../evil.exe", "x")), "a.zip: ../../evil.exe"},
		{"in a tar without magic number", with("a.bin", v7(tarred("evil.exe", "x"))), "a.bin: evil.exe"},
		{"in a tar without magic number within gzip", with("a.bin", gzipped("", v7(tarred("evil.exe", "x")))), "a.bin: evil.exe"},
		{"name without .gz", with("evil.exe.gz", gzipped("", "x")), "evil.exe.gz: evil.exe"},
		{"name without .GZ in a zip", with("a.zip", zipped("evil.exe.GZ", gzipped("", "x"))), "a.zip: evil.exe"},
		{"not an archive", with("a.zip", "hello"), "a.zip (archive cannot be read)"},
		{"in a zip with junk before it, in a zip", with("a.zip", zipped("b.zip", "junk"+evil)), "a.zip: evil.exe"},
		{"after a NUL", with("evil.exe\x00.txt", "x"), ""}, // the server refuses NUL
		{"an NTFS stream", with("evil.exe::$DATA", "x"), "evil.exe::$DATA"},
		{"an encoded message", eml("base64", base64.StdEncoding.EncodeToString([]byte(with("evil.exe", "x")))), "evil.exe"},
		{"an encoded message in another", eml("base64", base64.StdEncoding.EncodeToString([]byte(eml("quoted-printable", strings.ReplaceAll(with("a.zip", evil), "=", "=3D"))))), "a.zip: evil.exe"},
		{"two types", strings.Replace(with("evil.exe", "x"), "Content-Type: multipart", "Content-Type: text/plain\r\nContent-Type: multipart", 1), "message (ambiguous media type)"},
		{"two boundaries", strings.Replace(with("evil.exe", "x"), "boundary=b", "boundary=c; boundary=b", 1), "message (ambiguous boundary)"},
		{"two encodings", strings.Replace(with("a.zip", evil), "Content-Transfer-Encoding: base64", "Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64", 1), "a.zip (ambiguous transfer encoding)"},
		{"an .eml in a zip", with("a.zip", zipped("mail.eml", with("evil.exe", "x"))), "a.zip: evil.exe"},
		{"an .eml in a zip, with LF", with("a.zip", zipped("MAIL.EML", strings.ReplaceAll(with("evil.exe", "x"), "\r\n", "\n"))), "a.zip: evil.exe"},
		{"a zip in an .eml in a zip", with("a.zip", zipped("mail.eml", with("b.zip", evil))), "a.zip: b.zip: evil.exe"},
		{"an .eml in a tar in gzip", with("a.tgz", gzipped("", tarred("mail.eml", with("evil.exe", "x")))), "a.tgz: evil.exe"},
		{"an .eml", with("mail.eml", with("evil.exe", "x")), "mail.eml: evil.exe"},
		{"an .eml in an .eml", with("mail.eml", with("other.eml", with("evil.exe", "x"))), "mail.eml: other.eml: evil.exe"},
		{"an .mht", with("page.mht", strings.Replace(with("evil.exe", "MZ"), "evil.exe", "x", 1)), "page.mht: x"},
		{"deep .eml", with("1.eml", with("2.eml", with("3.eml", with("4.eml", "x")))), "3.eml: 4.eml (archive exceeds the limits)"},
		{"an unclear .eml in a zip", with("a.zip", zipped("mail.eml", "Content-Type\r\n : application/zip\r\n\r\nx")), "(ambiguous header)"},
		{"an .eml of many parts", with("a.zip", zipped("mail.eml", "Content-Type: multipart/mixed; boundary=b\r\n\r\n"+strings.Repeat("--b\r\n\r\n", 2000))), "(too many parts)"},
		{"a name in UTF-7", with("=?utf-7?Q?evil+AC4-exe?=", "x"), "evil.exe"},
		{"a name with backslashes", with(`C:\x\evil.exe`, "x"), "evil.exe"},
		{"a name in EBCDIC", with("=?ibm037?Q?=85=A5=89=93K=85=A7=85?=", "x"), "(ambiguous file name)"},
		{"a semicolon is missing", strings.Replace(with("evil.exe", "x"), "attachment; ", "attachment ", 1), "evil.exe"},
		{"undecodable text with a name", strings.Replace(strings.Replace(with("a.zip", evil), "application/octet-stream", "text/plain", 1), "UEsDB", "=UEsDB", 1), "a.zip (cannot be decoded)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := agenttest.Start(t, a.Agent())
			code, text := s.Dial(t).Send("a@example.org", []string{"b@example.com"}, c.message)
			if code < 500 || !strings.Contains(text, c.found) {
				t.Errorf("%d %s, want %q", code, text, c.found)
			}
			if code == 550 && strings.HasPrefix(text, "5.6.0") != strings.Contains(c.found, "(") {
				t.Errorf("%d %s", code, text) // the code 5.7.1 means "not allowed"
			}
			if c.found == "" {
				return
			}
			b := *a
			b.Strip = true
			if code, text := agenttest.Start(t, b.Agent()).Dial(t).Send("a@example.org", []string{"b@example.com"}, c.message); (code != 250) != strings.HasPrefix(c.found, "message") {
				t.Errorf("stripping: %d %s", code, text)
			}
		})
	}
}

func TestAttachmentsThatAreNotAllowed(t *testing.T) {
	if err := a.Validate(); err != nil {
		t.Fatal(err)
	}
	deep := zipped("x.exe", "")
	for range 4 {
		deep = zipped("a.zip", deep)
	}
	lying := strings.Replace(zipped("evil.exe", "x"), "evil.exe", "nice.txt", 1) // the local header only
	for _, c := range []struct{ name, data, found string }{
		{"evil.exe", "x", "evil.exe"},
		{"EVIL.EXE. ", "x", "EVIL.EXE"},
		{"dir/evil.exe", "x", "evil.exe"},
		{`C:\evil.exe`, "x", "evil.exe"},
		{"=?utf-8?B?ZXZpbC5leGU=?=", "x", "evil.exe"},
		{"holiday.jpg", "MZ\x90\x00", "holiday.jpg"},
		{"a.zip", zipped("readme.txt", "x", "sub/evil.exe", "x"), "a.zip: sub/evil.exe"},
		{"a.bin", zipped("evil.exe", "x"), "a.bin: evil.exe"},
		{"a.zip", lying, "a.zip: evil.exe"},
		{"a.zip", strings.Replace(zipped("nice.txt", "x"), "nice.txt", "evil.exe", 1), "a.zip: evil.exe"},
		{"a.zip", zipped("b.zip", zipped("evil.js", "x")), "a.zip: evil.js"},
		{"a.zip", zipped("data", "MZ\x90\x00"), "a.zip: data"},
		{"a.tar", tarred("x", "y", "evil.exe", "z"), "a.tar: evil.exe"},
		{"a.tgz", gzipped("", tarred("evil.exe", "z")), "a.tgz: evil.exe"},
		{"a.gz", gzipped("evil.exe", "x"), "a.gz: evil.exe"},
		{"a.zip", zipped("x", "y")[:60], "a.zip (archive cannot be read)"},
		{"a.zip", deep, "a.zip (archive exceeds the limits)"},
		{"a.gz", "\x1f\x8bjunk", "a.gz (archive cannot be read)"},
	} {
		text := agenttest.Refused(t, 550, "a@example.org", []string{"b@example.com"}, with(c.name, c.data), a.Agent())
		if !strings.Contains(text, c.found) {
			t.Errorf("%s: %q, want %q", c.name, text, c.found)
		}
	}
}

// A decoder that accepts more than ours would find the archive.
func TestAttachmentsThatCannotBeDecoded(t *testing.T) {
	m := strings.Replace(with("a.zip", zipped("evil.exe", "x")), "UEsDB", "=UEsDB", 1)
	agenttest.Refused(t, 550, "a@example.org", []string{"b@example.com"}, m, a.Agent())
	b := *a
	b.AllowUnreadable = true
	agenttest.Relay(t, "a@example.org", []string{"b@example.com"}, m, b.Agent())
}

func TestAllowedAttachmentsDoNotChange(t *testing.T) {
	for _, m := range []string{
		mail,
		with("a.zip", zipped("readme.txt", "x", "b.zip", zipped("c", "d"))),
		with("a.tar.gz", gzipped("a.tar", tarred("x", strings.Repeat("y", 5000)))),
		with("exe.txt", "not MZ"),
		with("empty", ""),
		with("report (1).pdf", "x"),
		strings.Replace(with("a b.pdf", "x"), `"a b.pdf"`, "a b (c).pdf", 1),
		"Subject: no mail of MIME's\r\n\r\nbegin 644 x\r\n",
	} {
		for _, strip := range []bool{false, true} {
			b := *a
			b.Strip = strip
			if got := agenttest.Relay(t, "a@example.org", []string{"b@example.com"}, m, b.Agent()); got.Data != m {
				t.Errorf("changed:\n%s\nwas\n%s", got.Data, m)
			}
		}
	}
}

func TestStripChangesOnlyTheAttachment(t *testing.T) {
	b := *a
	b.Strip, b.Notice = true, "removed: %s"
	two := strings.Replace(with("evil.exe", "MZ"), "--b--", attachment("fine.txt", "x")+attachment("a.zip", zipped("bad.js", ""))+"--b--", 1)
	notice := func(name string) string {
		return "--b\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nremoved: " + name + "\r\n\r\n"
	}
	want := strings.Replace(two, attachment("evil.exe", "MZ"), notice("evil.exe"), 1)
	want = strings.Replace(want, attachment("a.zip", zipped("bad.js", "")), notice("a.zip: bad.js"), 1)
	if got := agenttest.Relay(t, "a@example.org", []string{"b@example.com"}, two, b.Agent()); got.Data != want {
		t.Errorf("got\n%s\nwant\n%s", got.Data, want)
	}

	only := "From: a@example.org\r\nContent-Type: application/x-evil\r\n\tname=x\r\nContent-Transfer-Encoding: base64\r\nSubject: y\r\n\r\nAAAA\r\n"
	want = "From: a@example.org\r\nSubject: y\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nremoved: application/x-evil\r\n"
	only = strings.Replace(only, "evil\r\n\tname=x", "evil", 1)
	if got := agenttest.Relay(t, "a@example.org", []string{"b@example.com"}, only, b.Agent()); got.Data != want {
		t.Errorf("got\n%s\nwant\n%s", got.Data, want)
	}

	// An enclosed message: strip replaces the outermost part that is not allowed,
	// which is the enclosed message or only an attachment in it.
	inner := with("evil.exe", "MZ")
	forwarded := "Subject: fwd\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: message/rfc822\r\n\r\n" + inner + "--o--\r\n"
	want = strings.Replace(forwarded, attachment("evil.exe", "MZ"), notice("evil.exe"), 1)
	if got := agenttest.Relay(t, "a@example.org", []string{"b@example.com"}, forwarded, b.Agent()); got.Data != want {
		t.Errorf("got\n%s\nwant\n%s", got.Data, want)
	}
}

// The limits bound the cost of a zip bomb.
func TestBombs(t *testing.T) {
	b := *a
	b.ArchiveSize = 1 << 20
	bomb := zipped("a.gz", gzipped("", strings.Repeat("\x00", 8<<20)))
	agenttest.Relay(t, "a@example.org", []string{"b@example.com"}, with("a.zip", bomb), b.Agent()) // only its beginning is read
	tarBomb := gzipped("", tarred("a", strings.Repeat("\x00", 8<<20), "b", ""))
	agenttest.Refused(t, 550, "a@example.org", []string{"b@example.com"}, with("a.tgz", tarBomb), b.Agent())
	var many []string
	for range 1001 {
		many = append(many, "x", "")
	}
	agenttest.Refused(t, 550, "a@example.org", []string{"b@example.com"}, with("a.zip", zipped(many...)), b.Agent())
	b.AllowUnreadable = true
	agenttest.Relay(t, "a@example.org", []string{"b@example.com"}, with("a.tgz", tarBomb), b.Agent())
	parts := "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\n", 2000)
	agenttest.Relay(t, "a@example.org", []string{"b@example.com"}, parts, b.Agent())
	b.AllowUnreadable = false
	agenttest.Refused(t, 554, "a@example.org", []string{"b@example.com"}, parts, b.Agent())
	b.SkipArchives = true
	agenttest.Relay(t, "a@example.org", []string{"b@example.com"}, with("a.zip", zipped("evil.exe", "")), b.Agent())
}

// The limits also bound the cost of many small zip bombs in one message.
func TestManyBombs(t *testing.T) {
	b := *a
	b.ArchiveSize = 1 << 20
	small := gzipped("", tarred("a", strings.Repeat("\x00", 256<<10), "b", ""))
	agenttest.Relay(t, "a@example.org", []string{"b@example.com"}, with("a.tgz", small), b.Agent())
	many := strings.Replace(with("a.tgz", small), "--b--", strings.Repeat(attachment("a.tgz", small), 20)+"--b--", 1)
	if text := agenttest.Refused(t, 550, "a@example.org", []string{"b@example.com"}, many, b.Agent()); !strings.Contains(text, "exceeds the limits") {
		t.Error(text)
	}
}

// Data that is full of headers of zip entries costs no more than other data: the
// time must grow linearly with the size.
func BenchmarkHostileArchives(b *testing.B) {
	end := zipped()
	for name, unit := range map[string]string{"local headers": "PK\x03\x04", "directories": "PK\x01\x02", "ends": "PK\x05\x06"} {
		for _, mb := range []int{1, 4, 16} {
			m := new(smtpserver.Message)
			if err := m.SetContent(inner.Of([]byte(with("a.zip", strings.Repeat(unit, mb<<18)+end)))); err != nil {
				b.Fatal(err)
			}
			f := a.Agent().EndOfData
			b.Run(fmt.Sprintf("%s of %d MiB", name, mb), func(b *testing.B) {
				b.SetBytes(int64(mb) << 20)
				for b.Loop() {
					f(b.Context(), nil, m)
				}
			})
		}
	}
}

func TestAttachmentsValidate(t *testing.T) {
	for _, a := range []content.Attachments{{Names: []string{"[a"}}, {Names: []string{""}}, {Types: []string{"text"}}, {Notice: "ä"}} {
		if a.Validate() == nil {
			t.Errorf("%+v: no error", a)
		}
	}
}

// The filter also applies to a field of a part that only some programs see,
// wherever the part is.
func TestFieldsThatOnlySomeProgramsSee(t *testing.T) {
	const multi = "From: a@example.org\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b\r\n"
	for name, part := range map[string]string{
		"Content-Disposition folded": "Content-Type: application/octet-stream\r\nContent-Disposition\r\n : attachment; filename=a.exe\r\n\r\nx\r\n",
		"Content-Type folded":        "Content-Type\r\n : application/octet-stream; name=a.exe\r\n\r\nx\r\n",
		"folded with a tab":          "Content-Type\r\n\t: application/octet-stream; name=a.exe\r\n\r\nx\r\n",
		"first line with a space":    " Content-Type: application/octet-stream; name=a.exe\r\n\r\nx\r\n",
		"in a folded line":           "x\r\n Content-Type: application/octet-stream; name=a.exe\r\n\r\nx\r\n",
		"after a line of text":       "hello\r\nContent-Type: application/octet-stream; name=a.pdf\r\n\r\nx\r\n",
		"a name with NBSP":           "Content-Type\u00a0: application/octet-stream; name=a.exe\r\n\r\nx\r\n",
		"inner multipart":            "Content-Type\r\n : multipart/mixed; boundary=c\r\n\r\n--c\r\nContent-Type: application/octet-stream; name=a.exe\r\n\r\nx\r\n--c--\r\n",
		"transfer encoding":          "Content-Type: application/octet-stream; name=a.txt\r\nContent-Transfer-Encoding\r\n : base64\r\n\r\nTVqQAAMAAAAEAAAA//8AALgAAAA=\r\n",
		"multipart without a form":   "Content-Type: multipart; boundary=c\r\n\r\n--c\r\nContent-Type: a/b; name=a.exe\r\n\r\nx\r\n--c--\r\n",
	} {
		for where, message := range map[string]string{
			"a part":              multi + part + "--b--\r\n",
			"an enclosed message": multi + "Content-Type: message/rfc822\r\n\r\n" + part + "--b--\r\n",
		} {
			text := agenttest.Refused(t, 550, "a@example.org", []string{"b@example.com"}, message, a.Agent())
			if !strings.HasPrefix(text, "5.6.0 ") {
				t.Errorf("%s in %s: %s", name, where, text)
			}
		}
	}
	// A line that no program reads as such a field is not refused.
	for _, part := range []string{
		"Content-Type: text/plain\r\nX-Other: a\r\n Content-Type: x/y; name=a.exe\r\n\r\nx\r\n",
		"hello\r\n\r\nContent-Type\r\n : x/y\r\n",
		"Content-Type : text/plain\r\n\r\nx\r\n",
		"Content-Type: text\r\n\r\nx\r\n",
		"no header and no blank line\r\n",
	} {
		agenttest.Relay(t, "a@example.org", []string{"b@example.com"}, multi+part+"--b--\r\n", a.Agent())
	}
}
