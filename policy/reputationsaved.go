package policy

import (
	"encoding/binary"
	"io"
	"math"
	"net/netip"
	"time"
)

// reputationMagic is the first line of the saved state. It identifies the
// format.
const reputationMagic = "bridgehead reputation 1\n"

// reputationRecord is the length of one entry: an address, two numbers and two
// times.
const reputationRecord = 16 + 4*8

// Save writes the state to w: addresses (the /64 of IPv6 addresses) and their
// points.
func (r *Reputation) Save(w io.Writer) error {
	r.mu.Lock()
	b := make([]byte, 0, len(reputationMagic)+reputationRecord*len(r.clients.m)+savedSum)
	b = append(b, reputationMagic...)
	for network, c := range r.clients.m {
		ip := network.Addr().As16()
		b = append(b, ip[:]...)
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(c.good))
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(c.bad))
		b = binary.BigEndian.AppendUint64(b, uint64(unixTime(c.at)))
		b = binary.BigEndian.AppendUint64(b, uint64(unixTime(c.blocked)))
	}
	r.mu.Unlock()
	return writeSaved(w, b)
}

// Load adds a saved state. If from is damaged, Load returns an error and
// changes nothing.
func (r *Reputation) Load(from io.Reader) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.prepare()
	b, err := readSaved(from, "reputation", reputationMagic, reputationRecord, r.clients.max)
	if err != nil {
		return err
	}
	now := time.Now()
	for ; len(b) > 0; b = b[reputationRecord:] {
		c := record{good: points(b[16:]), bad: points(b[24:]), at: timeOf(b[32:]), blocked: timeOf(b[40:])}
		if c.at.After(now) { // the clock was wrong; the points would never lose weight
			c.at = now
		}
		*r.record(netip.AddrFrom16([16]byte(b[:16]))) = c
	}
	return nil
}

// points decodes a number of points. An invalid number counts as 0.
func points(b []byte) float64 {
	f := math.Float64frombits(binary.BigEndian.Uint64(b))
	if !(f >= 0 && f <= math.MaxInt32) { // also true for NaN
		return 0
	}
	return f
}

// unixTime returns t in seconds, or 0 if t is zero.
func unixTime(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func timeOf(b []byte) time.Time {
	if s := int64(binary.BigEndian.Uint64(b)); s != 0 {
		return time.Unix(s, 0)
	}
	return time.Time{}
}
