package gss

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// Kinds of context tokens (RFC 4121, 4.1).
const (
	APReq  = 0x0100 // the client's ticket
	APRep  = 0x0200 // the server's answer, which proves who it is
	Failed = 0x0300 // KRB_ERROR
)

// mechanism is the DER encoding of the object identifier 1.2.840.113554.1.2.2,
// Kerberos V5 (RFC 4121, 1).
var mechanism = []byte{0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02}

// application0 is the DER tag of the frame: application class, constructed, 0.
const application0 = 0x60

var errFrame = errors.New("malformed GSS-API token")

// Frame returns a context token (RFC 2743, 3.1): the object identifier of
// Kerberos V5, the kind, and the Kerberos message.
func Frame(kind uint16, message []byte) []byte {
	inner := binary.BigEndian.AppendUint16(bytes.Clone(mechanism), kind)
	inner = append(inner, message...)
	token := appendLength([]byte{application0}, len(inner))
	return append(token, inner...)
}

// Unframe is the inverse of Frame. message shares memory with token. An error
// means that token is malformed or for another mechanism than Kerberos V5, for
// example SPNEGO.
func Unframe(token []byte) (kind uint16, message []byte, err error) {
	if len(token) < 2 || token[0] != application0 {
		return 0, nil, errFrame
	}
	n, rest, ok := cutLength(token[1:])
	if !ok || n != len(rest) {
		return 0, nil, errFrame
	}
	rest, ok = bytes.CutPrefix(rest, mechanism)
	if !ok || len(rest) < 2 {
		return 0, nil, errors.New("the GSS-API token is not for Kerberos V5")
	}
	return binary.BigEndian.Uint16(rest), rest[2:], nil
}

// appendLength appends a DER length.
func appendLength(b []byte, n int) []byte {
	if n < 0x80 {
		return append(b, byte(n))
	}
	var octets []byte
	for ; n > 0; n >>= 8 {
		octets = append([]byte{byte(n)}, octets...)
	}
	return append(append(b, 0x80|byte(len(octets))), octets...)
}

// cutLength cuts a length of at most 3 octets from b. It accepts a length that
// could be encoded shorter, as MIT Kerberos does.
func cutLength(b []byte) (n int, rest []byte, ok bool) {
	first, b := b[0], b[1:]
	if first < 0x80 {
		return int(first), b, true
	}
	count := int(first & 0x7f)
	if count == 0 || count > 3 || count > len(b) {
		return 0, nil, false
	}
	for _, octet := range b[:count] {
		n = n<<8 | int(octet)
	}
	return n, b[count:], true
}
