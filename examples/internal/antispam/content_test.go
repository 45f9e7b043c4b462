package antispam

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/peers"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// attached returns a message with an attachment.
func attached(name string, content []byte) string {
	return fmt.Sprintf("From: a@example.net\nTo: b@example.com\nSubject: file\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n"+
		"--x\nContent-Type: text/plain\n\nsee the file\n--x\nContent-Type: application/octet-stream\nContent-Disposition: attachment; filename=%q\nContent-Transfer-Encoding: base64\n\n%s\n--x--\n",
		name, base64.StdEncoding.EncodeToString(content))
}

// zipped returns an archive with one file.
func zipped(t *testing.T, name string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	_, err := z.Create(name)
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Attachments that are not allowed are refused or stripped, also in archives. Others
// pass.
func TestAttachments(t *testing.T) {
	t.Parallel()
	names := "filters.attachments.names: *.exe,*.js"
	w := newWorld(t, names, "filters.attachments.types: application/x-msdownload")
	w.mail(attached("Invoice.EXE", []byte("x")), "550 5.7.1")
	w.mail(attached("a.zip", zipped(t, "a.js")), "550 5.7.1")
	w.mail(attached("a.txt", []byte("MZ\x90\x00"+strings.Repeat("\x00", 56)+"\x40\x00\x00\x00PE\x00\x00")), "550 5.7.1")
	w.mail(attached("a.zip", []byte("PK\x03\x04 damaged")), "550 5.6.0")
	want(t, w.delivered(attached("a.txt", []byte("text"))).Text, `filename="a.txt"`)
	want(t, w.delivered(attached("b.zip", zipped(t, "a.txt"))).Text, `filename="b.zip"`)

	w.reload(names, "filters.attachments.action: strip", "filters.attachments.unreadable: accept")
	m := w.delivered(attached("a.exe", []byte("program")))
	want(t, m.Text, "see the file", "a.exe")
	if strings.Contains(m.Text, base64.StdEncoding.EncodeToString([]byte("program"))) {
		t.Errorf("the attachment is still there:\n%s", m.Text)
	}
	w.delivered(attached("a.zip", []byte("PK\x03\x04 damaged")))

	program := attached("a.exe", []byte("program"))
	want(t, w.outgoing("c@example.com", "a@example.net", program).Text, `filename="a.exe"`)
	w.reload(names, "filters.attachments.outgoing: true")
	w.own(program, "550 5.7.1")
	w.Stop(t)
}

// Rules apply to the mail of both gates. The level that a rule sets has its effect.
func TestRules(t *testing.T) {
	t.Parallel()
	file := peers.File(t, `
# the rules of a test
rule external mail
  unless from example.com
  then subject "[EXTERNAL] "
rule payments
  if subject "payment order" invoice
  then redirect accounts@example.com
  stop
rule no lottery
  if body lottery
  unless header X-Game ^yes$
  then set-level 9
rule sealed
  if to sealed@example.com
  then refuse "The mailbox is sealed"
`)
	w := newWorld(t, "filters.rules: "+file, "filters.scan.reject-level: 9")
	want(t, w.delivered(hello).Text, "\r\nSubject: [EXTERNAL] hello\r\n")
	m := w.delivered(strings.Replace(hello, "Subject: hello", "Subject: Payment order 4711", 1))
	want(t, strings.Join(m.To(), ","), "accounts@example.com")
	w.mail(hello+"You have won the lottery.\n", "550 5.7.1")
	want(t, w.delivered("X-Game: yes\n"+hello+"You have won the lottery.\n").Text, "lottery")
	w.talk(w.Addrs[0], "a@example.net", "sealed@example.com", "C: DATA\nS: 354\n"+lines(hello)+"C: .\nS: 550 5.7.1 The mailbox is sealed")
	own := w.outgoing("c@example.com", "a@example.net", hello)
	want(t, own.Text, "\r\nSubject: hello\r\n")
	w.Stop(t)
}

// own sends a message of the organization, and wants a reply to its end.
func (w *world) own(message, want string) {
	w.t.Helper()
	w.talk(w.Addrs[1], "c@example.com", "a@example.net", "C: DATA\nS: 354\n"+lines(message)+"C: .\nS: "+want)
}

// outgoing sends a message of the organization, and returns it as the server receives it.
func (w *world) outgoing(from, to, message string) *smtptest.Message {
	w.t.Helper()
	w.talk(w.Addrs[1], from, to, "C: DATA\nS: 354\n"+lines(message)+"C: .\nS: 250")
	return w.server.Inbox.Next(w.t)
}

// The mail of the organization gets the disclaimer, and other mail does not. A reload
// reads its files again.
func TestDisclaimer(t *testing.T) {
	t.Parallel()
	text, html := peers.File(t, "\ufeffExample Ltd, registered in Zürich\n"), peers.File(t, "<p><b>Example</b> Ltd</p>")
	settings := []string{"filters.disclaimer.text: " + text, "filters.disclaimer.html: " + html, "filters.disclaimer.from: example.com,*.example.com"}
	w := newWorld(t, settings...)
	const utf8 = "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n"
	want(t, w.outgoing("c@example.com", "a@example.net", utf8+hello).Text, "Nothing to see.\r\n", "Example Ltd, registered in Zürich")
	page := "MIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n"
	want(t, w.outgoing("c@mail.example.com", "a@example.net", page+strings.Replace(hello, "Nothing to see.", "<html><body>Nothing</body></html>", 1)).Text, "<b>Example</b> Ltd</p>")
	if m := w.delivered(hello); strings.Contains(m.Text, "Example Ltd") {
		t.Errorf("mail from the internet has the disclaimer:\n%s", m.Text)
	}
	w.reload("filters.disclaimer.text: "+text, "filters.disclaimer.to: b@example.com")
	want(t, w.delivered(utf8+hello).Text, "Example Ltd, registered in Zürich")
	w.Stop(t)
}

// Spam that is accepted is bad for the reputation of its client.
func TestSpamReputation(t *testing.T) {
	t.Parallel()
	file := peers.File(t, "rule spam\nif subject lottery\nthen set-level 6\n")
	w := newWorld(t, "filters.rules: "+file, "filters.reputation.block-level: 6", "filters.reputation.min-points: 5")
	spam := strings.Replace(hello, "Subject: hello", "Subject: lottery", 1)
	for range 3 { // each has two bad points and a good one
		w.delivered(spam)
	}
	w.sender("550 5.7.1")
	w.reload("filters.reputation.block-level: 9", "filters.reputation.min-points: 5")
	w.sender("550 5.7.1")
	w.Stop(t)
}
