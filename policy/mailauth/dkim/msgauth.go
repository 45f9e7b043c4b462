package dkim

import (
	"bytes"
	"crypto"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"github.com/bridgehead-mail/bridgehead/policy/internal/dkimsig"
	"github.com/bridgehead-mail/bridgehead/policy/internal/taglist"
)

// go-msgauth signs and verifies. There are signatures that it cannot judge
// although they are correct, and messages on which its time grows with the
// square of their size. For these, the engine of package arc does the work
// (own.go): ARC needs one, because go-msgauth has none.

// Bounds on what go-msgauth gets. Its time grows with the square of each; within
// them a signature costs a few milliseconds at most.
const (
	// maxNames in h=: it searches the whole header for each.
	maxNames = 256
	// maxFolding is the sum of lines times octets over the signed fields, in the
	// simple form: it puts a field together line by line, and copies all of it
	// each time. A To field of 1,000 lines and 64 KiB is just within the bound.
	maxFolding = 64 << 20
	// maxH is the longest h= tag that fits on a line (RFC 5322, 2.1.1: 998
	// octets): it does not fold the tag.
	maxH = 990
)

// unfit reports whether go-msgauth cannot judge a signature with these tags.
func (c *candidate) unfit(tags taglist.List, text string) bool {
	i := taglist.Compact(tags.Value("i"))
	switch {
	case len(c.Fields) > maxNames:
		return true
	case i != "" && !strings.HasSuffix(i, "@"+c.Domain) && !strings.HasSuffix(i, "."+c.Domain):
		// It compares the letters of i= and d=, not the domains, and does not
		// decode quoted-printable.
		return true
	case slices.ContainsFunc(c.Fields, func(name string) bool { return strings.EqualFold(name, "DKIM-Signature") }):
		// It counts the signature itself among the fields that are signed.
		return true
	}
	return hasOtherB(tags, text)
}

// hasOtherB reports whether "b=" is anywhere but at the tag of that name. What
// is signed has an empty b= tag (RFC 6376, 3.7), but go-msgauth empties all that
// follows any "b=", as in i=bob=x@example.org.
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

// tooFolded reports whether fields have too many lines for go-msgauth. In the
// relaxed form section puts each on one line.
func tooFolded(form dkimsig.Canon, fields ...[]byte) bool {
	var work int64
	for _, f := range fields {
		work += int64(bytes.Count(f, []byte{'\n'})) * int64(len(f))
	}
	return form == dkimsig.Simple && work > maxFolding
}

// section makes the header section that go-msgauth works on: of the message's
// fields only those that count for a signature, and the blank line. They come in
// the order of h=, and go-msgauth takes instances of a name from the bottom up
// (RFC 6376, 5.4.2), so section reverses them. top is the signature that is
// verified, nil to sign.
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

// appendField appends a field. In the relaxed form folding is white space like
// any other (RFC 6376, 3.4.2), so it becomes one line: go-msgauth's time grows
// with the square of a field's lines.
func appendField(text, field []byte, form dkimsig.Canon) []byte {
	at := len(text)
	text = append(text, field...)
	if !bytes.HasSuffix(field, []byte{'\n'}) { // the message ends within it
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

// ask has go-msgauth verify one signature, the only one in the header that it
// gets, with the key that was found. The error is one of reading the body.
func (c *candidate) ask(header *dkimsig.Header, body io.Reader) error {
	fields := section(c.field, header.Select(c.Fields, c.field), c.headerForm)
	checked, err := msgauth.VerifyWithOptions(&message{fields, body}, &msgauth.VerifyOptions{
		LookupTXT:        func(string) ([]string, error) { return []string{c.key.Record}, nil },
		MaxVerifications: 1, // the first, c.field; others may be among the fields that it signs
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

// signMsgauth has go-msgauth sign a message with each of the keys. After a
// limitError of the body there are no signatures.
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
	for i, signer := range signers { // all of them, whatever happened: each has a goroutine
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

// isBlank is the error of a body that go-msgauth cannot have, see body.
func isBlank(err error) bool {
	var limit limitError
	return errors.As(err, &limit)
}

// A message is a header section and a body. Unlike io.MultiReader it writes the
// body without a buffer of its own.
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
