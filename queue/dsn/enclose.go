package dsn

import (
	"bytes"
	"fmt"
	"mime/quotedprintable"
	"unicode/utf8"

	"github.com/bridgehead-mail/bridgehead/internal/chars"
	"github.com/bridgehead-mail/bridgehead/internal/header"
)

const defaultMaxOriginal = 50 << 10 // Postfix, bounce_size_limit

// original returns the part of the message to enclose: all of it (full is true),
// or its header.
func (r *Report) original() (b []byte, full bool, err error) {
	if r.Original == nil {
		return nil, false, nil
	}
	limit := r.MaxOriginal
	if limit <= 0 {
		limit = defaultMaxOriginal
	}
	b = make([]byte, min(r.Original.Size(), limit))
	if n, err := r.Original.ReadAt(b, 0); n < len(b) {
		return nil, false, fmt.Errorf("dsn: cannot read the original message: %w", err)
	}
	if !r.HeaderOnly && r.Original.Size() <= limit && !binary(b) {
		return b, true, nil
	}
	return header.Of(b, r.Original.Size() > limit), false, nil
}

// binary reports whether b has a NUL, or a CR or LF that is not part of CRLF.
// Such bytes need BINARYMIME (RFC 2045, 2.8 and 2.9).
func binary(b []byte) bool {
	for i, c := range b {
		switch c {
		case 0:
			return true
		case '\r':
			if i+1 == len(b) || b[i+1] != '\n' {
				return true
			}
		case '\n':
			if i == 0 || b[i-1] != '\r' {
				return true
			}
		}
	}
	return false
}

// enclosed writes the header of the part with the original, and returns the
// body of that part. A whole message must not be encoded (RFC 2046, 5.2.1). The
// header alone may be (RFC 6522, 4).
func (w *writer) enclosed(r *Report, original []byte, full bool) (body []byte) {
	if full {
		if r.UTF8 {
			w.part("message/global")
		} else {
			w.part("message/rfc822")
		}
		w.line("Content-Description: Undelivered message")
		if !chars.ASCII(original) {
			w.line("Content-Transfer-Encoding: 8bit")
		}
		w.line("")
		return original
	}
	plain := chars.ASCII(original) && !longLines(string(original)) && !binary(original)
	switch {
	case r.UTF8:
		w.part("message/global-headers")
	case !plain && utf8.Valid(original):
		w.part("text/rfc822-headers; charset=utf-8")
	default:
		w.part("text/rfc822-headers")
	}
	w.line("Content-Description: Undelivered message's header")
	switch {
	case plain:
	case r.UTF8 && !longLines(string(original)) && !binary(original):
		w.line("Content-Transfer-Encoding: 8bit")
	default:
		w.line("Content-Transfer-Encoding: quoted-printable")
		original = quotedPrintable(original)
	}
	w.line("")
	return original
}

func quotedPrintable(b []byte) []byte {
	var out bytes.Buffer
	w := quotedprintable.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}
