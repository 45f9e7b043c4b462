package dkim

import (
	"bufio"
	"bytes"
	"crypto"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"github.com/bridgehead-mail/bridgehead/policy/internal/dkimsig"
	"github.com/bridgehead-mail/bridgehead/policy/internal/taglist"
)

// This file signs and verifies with go-msgauth. There are valid signatures that
// go-msgauth cannot verify, and messages for which its time is quadratic. For
// these, own.go uses package dkimsig. Package arc needs dkimsig too, because
// go-msgauth does not implement ARC.

// Limits for messages that go-msgauth signs or verifies. Its time is quadratic in
// each of them. Within the limits a signature takes at most a few milliseconds.
const (
	// maxNames is the number of names in h=. go-msgauth searches the whole header
	// for each.
	maxNames = 256
	// maxFolding is the sum of lines times octets over the signed fields, in the
	// simple form. go-msgauth joins the lines of a field one by one, and copies
	// the field each time. A To field of 1,000 lines and 64 KiB is just within
	// the limit.
	maxFolding = 64 << 20
	// maxH is the length of an h= tag that fits on a line (RFC 5322, 2.1.1: 998
	// octets). go-msgauth does not fold the tag.
	maxH = 990
)

// unfit reports whether go-msgauth cannot verify a signature with these tags.
func (c *candidate) unfit(tags taglist.List, text string) bool {
	i := taglist.Compact(tags.Value("i"))
	switch {
	case len(c.Fields) > maxNames:
		return true
	case i != "" && !strings.HasSuffix(i, "@"+c.Domain) && !strings.HasSuffix(i, "."+c.Domain):
		// go-msgauth compares i= and d= as strings, not as domains, and does not
		// decode quoted-printable.
		return true
	case slices.ContainsFunc(c.Fields, func(name string) bool { return strings.EqualFold(name, "DKIM-Signature") }):
		// go-msgauth also selects the signature itself as a signed field.
		return true
	}
	return hasOtherB(tags, text)
}

// hasOtherB reports whether "b=" occurs outside the tag b=. The signed form of
// the field has an empty b= tag (RFC 6376, 3.7). go-msgauth removes the text after
// every "b=", for example in i=bob=x@example.org.
func hasOtherB(tags taglist.List, text string) bool {
	for _, t := range tags {
		if t.Name == "b" {
			continue
		}
		value := text[t.Start:t.End]
		for i := range len(value) {
			if value[i] == '=' && i+1 < len(value) && strings.HasSuffix(strings.TrimRight(value[:i], " \t\r\n\f"), "b") {
				return true
			}
		}
		if strings.HasSuffix(t.Name, "b") && value != "" {
			return true
		}
	}
	return false
}

// tooFolded reports whether fields have too many lines for go-msgauth. This
// concerns only the simple form: in the relaxed form, section unfolds the fields.
func tooFolded(form dkimsig.Canon, fields ...[]byte) bool {
	var work int64
	for _, f := range fields {
		work += int64(bytes.Count(f, []byte{'\n'})) * int64(len(f))
	}
	return form == dkimsig.Simple && work > maxFolding
}

// section returns a header section for go-msgauth: only the signed fields, and
// the blank line. fields is in the order of h=. section reverses them, because
// go-msgauth selects instances of a name from the bottom up (RFC 6376, 5.4.2).
// top is the signature to verify, or nil for signing.
func section(top []byte, fields [][]byte, form dkimsig.Canon) []byte {
	var text []byte
	if len(top) > 0 {
		text = appendField(text, top, form)
	}
	for _, f := range slices.Backward(fields) {
		text = appendField(text, f, form)
	}
	return append(text, "\r\n"...)
}

// appendField appends a field. In the relaxed form it unfolds the field, because
// the time of go-msgauth is quadratic in the lines of a field. The relaxed form
// treats line ends like other white space (RFC 6376, 3.4.2).
func appendField(text, field []byte, form dkimsig.Canon) []byte {
	at := len(text)
	text = append(text, field...)
	if !bytes.HasSuffix(field, []byte{'\n'}) { // the message ends within the field
		text = append(text, "\r\n"...)
	}
	if form == dkimsig.Simple {
		return text
	}
	for i, b := range bytes.TrimRight(text[at:], "\r\n") {
		if b == '\r' || b == '\n' {
			text[at+i] = ' '
		}
	}
	return text
}

var readers = sync.Pool{New: func() any { return bufio.NewReader(nil) }}

// ask verifies one signature with go-msgauth, with the key that was found. It
// returns an error if it cannot read the body.
func (c *candidate) ask(header *dkimsig.Header, body io.Reader) error {
	fields := section(c.field, header.Select(c.Fields, c.field), c.headerForm)
	r := readers.Get().(*bufio.Reader) // go-msgauth uses it instead of a new one
	r.Reset(&message{fields, body})
	defer func() { r.Reset(nil); readers.Put(r) }()
	checked, err := msgauth.VerifyWithOptions(r, &msgauth.VerifyOptions{
		LookupTXT:        func(string) ([]string, error) { return []string{c.key.Record}, nil },
		MaxVerifications: 1, // only c.field, which is first; the signed fields may contain other signatures
	})
	if err != nil && err != msgauth.ErrTooManySignatures {
		return err
	}
	switch c.Err = checked[0].Err; {
	case c.Err == nil:
		c.Result = Pass
	case msgauth.IsPermFail(c.Err):
		c.Result = PermError
	default:
		c.Result = Fail
	}
	return nil
}

// signMsgauth signs a message with go-msgauth, with each of the keys. If the body
// exceeds a limit, the error is a limitError and there are no signatures.
func (s *Signer) signMsgauth(keys []Key, names []string, selected [][]byte, now time.Time, body io.Reader) (signed string, err error) {
	signers := make([]*msgauth.Signer, 0, len(keys))
	all := make([]io.Writer, 0, len(keys))
	for i := range keys {
		var signer *msgauth.Signer
		if signer, err = s.msgauthSigner(&keys[i], names, now); err != nil {
			break
		}
		signers, all = append(signers, signer), append(all, signer)
	}
	if err == nil {
		w := io.MultiWriter(all...)
		if _, err = w.Write(section(nil, selected, s.canon())); err == nil {
			_, err = newBody(body).WriteTo(w)
		}
	}
	for i, signer := range signers { // close all, also after an error: each has a goroutine
		if e := signer.Close(); e != nil && err == nil {
			err = keyError(&keys[i], e)
		}
	}
	if err != nil {
		return "", err
	}
	for _, signer := range signers {
		signed += signer.Signature()
	}
	return signed, nil
}

func (s *Signer) msgauthSigner(k *Key, names []string, now time.Time) (*msgauth.Signer, error) {
	if err := k.Validate(); err != nil {
		return nil, err
	}
	form := msgauth.Canonicalization(msgauth.CanonicalizationRelaxed)
	if s.Simple {
		form = msgauth.CanonicalizationSimple
	}
	options := &msgauth.SignOptions{
		Domain: k.Domain, Selector: k.Selector, Signer: k.Private, Hash: crypto.SHA256, HeaderKeys: names,
		HeaderCanonicalization: form, BodyCanonicalization: form,
	}
	if s.Lifetime > 0 {
		options.Expiration = now.Add(s.Lifetime)
	}
	signer, err := msgauth.NewSigner(options)
	if err != nil {
		return nil, keyError(k, err)
	}
	return signer, nil
}

// tooLong reports whether an h= tag does not fit on a line.
func tooLong(names []string) bool { return len(strings.Join(names, ":")) > maxH }

// isBlank reports whether err means that the body has too much white space for
// go-msgauth; see body.
func isBlank(err error) bool {
	var limit limitError
	return errors.As(err, &limit)
}

// A message is a header section and a body. Unlike io.MultiReader, its WriteTo does
// not allocate a buffer for the body.
type message struct {
	header []byte
	body   io.Reader
}

// Read implements io.Reader.
func (m *message) Read(p []byte) (int, error) {
	if len(m.header) == 0 {
		return m.body.Read(p)
	}
	n := copy(p, m.header)
	m.header = m.header[n:]
	return n, nil
}

// WriteTo implements io.WriterTo.
func (m *message) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(m.header)
	if m.header = m.header[n:]; err != nil {
		return int64(n), err
	}
	rest, err := io.Copy(w, m.body)
	return int64(n) + rest, err
}
