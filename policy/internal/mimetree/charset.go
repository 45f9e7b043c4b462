package mimetree

import (
	"errors"
	"io"
	"regexp"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
)

var errCharset = errors.New("mimetree: unsupported charset")

// charsetOf returns a charset by its name. The WHATWG standard maps some charsets
// to "replacement", which decodes nothing. charsetOf returns an error for these,
// because other programs decode them.
func charsetOf(name string) (encoding.Encoding, error) {
	e, err := htmlindex.Get(name)
	if err == nil && e == encoding.Replacement {
		return nil, errCharset
	}
	return e, err
}

// KnowsCharset reports whether CharsetReader can convert texts in a charset.
func KnowsCharset(charset string) bool {
	_, err := charsetOf(charset)
	return err == nil || isUTF7(charset)
}

// maxUTF7 is as much of a text in UTF-7 as is decoded.
const maxUTF7 = 4 << 20

// CharsetReader returns a reader that converts r to UTF-8. It returns an error if
// the charset is unknown.
func CharsetReader(charset string, r io.Reader) (io.Reader, error) {
	if isUTF7(charset) {
		b, err := io.ReadAll(io.LimitReader(r, maxUTF7))
		if len(b) == 0 && err != nil {
			return nil, err
		}
		return strings.NewReader(decodeUTF7(string(b))), nil // what comes before an error counts
	}
	e, err := charsetOf(charset)
	if err != nil {
		return nil, err
	}
	return e.NewDecoder().Reader(r), nil
}

// decodeCharset converts a text to UTF-8. sure is false if other programs may read
// another text: the charset is unknown here, and may not be based on ASCII.
func decodeCharset(charset, s string) (text string, sure bool) {
	if isUTF7(charset) {
		return decodeUTF7(s), true
	}
	e, err := charsetOf(charset)
	if err != nil {
		return s, ASCIIBased(charset)
	}
	if u, err := e.NewDecoder().String(s); err == nil {
		// Without a byte order mark, "utf-16" is ambiguous.
		marked := strings.HasPrefix(s, "\xfe\xff") || strings.HasPrefix(s, "\xff\xfe")
		return u, marked || !strings.EqualFold(charset, "utf-16")
	}
	return s, true
}

// notASCII matches names of charsets that are not based on ASCII: charsets of two
// and four octets, charsets with shift sequences, UTF-7, EBCDIC (IBM code pages),
// and the additional codecs of Python.
var notASCII = regexp.MustCompile(`utf_?-?(7|16|32)|unicode|ucs|10646|2022|^hz|ebcdic|punycode|idna|rot.?13|hex|base64|uu|` +
	`^(cs)?(ibm|cp|x-ibm|ibm-)-?0?(037|27[378]|28[0-57]|290|297|420|42[34]|500|838|87[0158]|880|905|918|924|93[035793]|939|1025|1026|1047|1097|11[1234][0-9])$`)

// ASCIIBased reports whether ASCII octets mean ASCII characters in a charset. It
// returns true for unknown charsets, because almost all charsets are based on
// ASCII.
func ASCIIBased(charset string) bool {
	return !notASCII.MatchString(strings.ToLower(charset))
}
