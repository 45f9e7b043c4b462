package gss

import (
	"crypto/hmac"
	"encoding/binary"
	"errors"
	"slices"
)

// A Checksum returns a keyed checksum of data.
type Checksum func(data []byte) ([]byte, error)

// A Sender describes the sender of a Wrap token.
type Sender struct {
	Acceptor bool   // the sender is the server
	Subkey   bool   // the key is the subkey of the server
	Seq      uint64 // the sequence number of the token
}

const wrapHeader = 16 // octets (RFC 4121, 4.2.6.2)

// Flags of a Wrap token (RFC 4121, 4.2.2).
const (
	sentByAcceptor = 1 << iota
	sealed
	acceptorSubkey
)

// Wrap returns a Wrap token with payload in plain text.
func Wrap(from Sender, payload []byte, sum Checksum) ([]byte, error) {
	header := make([]byte, wrapHeader)
	header[0], header[1], header[3] = 0x05, 0x04, 0xff
	if from.Acceptor {
		header[2] |= sentByAcceptor
	}
	if from.Subkey {
		header[2] |= acceptorSubkey
	}
	binary.BigEndian.PutUint64(header[8:], from.Seq)
	checksum, err := sum(slices.Concat(payload, header)) // EC and RRC are 0 in the checksum (RFC 4121, 4.2.4)
	if err != nil {
		return nil, err
	}
	binary.BigEndian.PutUint16(header[4:], uint16(len(checksum)))
	return slices.Concat(header, payload, checksum), nil
}

// Unwrap returns the payload of a Wrap token. acceptor is whether the server
// must have sent it. It is an error if the payload is encrypted or the checksum
// is wrong.
func Unwrap(token []byte, acceptor bool, sum Checksum) ([]byte, error) {
	if len(token) < wrapHeader || token[0] != 0x05 || token[1] != 0x04 || token[3] != 0xff {
		return nil, errors.New("malformed Wrap token")
	}
	flags := token[2]
	switch {
	case flags&sealed != 0:
		return nil, errors.New("the Wrap token is encrypted") // RFC 4752, 3.1: conf_flag is false
	case (flags&sentByAcceptor != 0) != acceptor:
		return nil, errors.New("the Wrap token is from the wrong side")
	}
	extra, rotated := int(binary.BigEndian.Uint16(token[4:])), int(binary.BigEndian.Uint16(token[6:]))
	body := token[wrapHeader:]
	if extra > len(body) {
		return nil, errors.New("malformed Wrap token")
	}
	if len(body) > 0 { // undo the rotation to the right, which Heimdal and Windows use (RFC 4121, 4.2.5)
		rotated %= len(body)
		body = slices.Concat(body[rotated:], body[:rotated])
	}
	payload, got := body[:len(body)-extra], body[len(body)-extra:]
	header := slices.Clone(token[:wrapHeader])
	clear(header[4:8])
	want, err := sum(slices.Concat(payload, header))
	if err != nil {
		return nil, err
	}
	if len(want) == 0 || !hmac.Equal(got, want) {
		return nil, errors.New("the Wrap token has a wrong checksum")
	}
	return payload, nil
}
