package milter

import (
	"encoding/binary"
	"fmt"
)

// Actions that a milter may take (SMFIF_*).
const (
	mayAddHeader  = 0x01
	mayChangeBody = 0x02
	mayAddRcpt    = 0x04
	mayDelRcpt    = 0x08
	mayChgHeader  = 0x10
	mayQuarantine = 0x20
	mayChangeFrom = 0x40
	mayAddRcptPar = 0x80
	allActions    = mayAddHeader | mayChangeBody | mayAddRcpt | mayDelRcpt | mayChgHeader | mayQuarantine | mayChangeFrom | mayAddRcptPar
)

// Steps that a milter may have left out, and replies that it may leave out
// (SMFIP_*).
const (
	noConnect    = 0x01
	noHelo       = 0x02
	noMail       = 0x04
	noRcpt       = 0x08
	noBody       = 0x10
	noHeaders    = 0x20
	noEOH        = 0x40
	nrHeader     = 0x80
	noUnknown    = 0x100
	noData       = 0x200
	maySkip      = 0x400
	nrConnect    = 0x1000
	nrHelo       = 0x2000
	nrMail       = 0x4000
	nrRcpt       = 0x8000
	nrData       = 0x10000
	nrUnknown    = 0x20000
	nrEOH        = 0x40000
	nrBody       = 0x80000
	leadingSpace = 0x100000
	allSteps     = noConnect | noHelo | noMail | noRcpt | noBody | noHeaders | noEOH | nrHeader | noUnknown | noData |
		maySkip | nrConnect | nrHelo | nrMail | nrRcpt | nrData | nrUnknown | nrEOH | nrBody | leadingSpace
)

// negotiate agrees with the milter on version, actions and steps.
func (v *conversation) negotiate() error {
	b := make([]byte, 12)
	binary.BigEndian.PutUint32(b, protocolV6)
	binary.BigEndian.PutUint32(b[4:], allActions)
	binary.BigEndian.PutUint32(b[8:], allSteps)
	if err := writePacket(v.w, cmdOptNeg, b); err != nil {
		return err
	}
	cmd, data, err := v.read()
	if err != nil {
		return err
	}
	if cmd != cmdOptNeg || len(data) < 12 {
		return fmt.Errorf("%w: reply %q to the negotiation", errProtocol, cmd)
	}
	version := binary.BigEndian.Uint32(data)
	v.actions = binary.BigEndian.Uint32(data[4:])
	v.steps = binary.BigEndian.Uint32(data[8:])
	if version < lowestProtocol || version > protocolV6 {
		return fmt.Errorf("%w: version %d", errProtocol, version)
	}
	if more := v.actions &^ uint32(allActions); more != 0 {
		return fmt.Errorf("%w: the milter wants actions %#x that were not offered", errProtocol, more)
	}
	if more := v.steps &^ allSteps; more != 0 {
		return fmt.Errorf("%w: the milter wants steps %#x that were not offered", errProtocol, more)
	}
	return nil
}

func (v *conversation) without(step uint32) bool { return v.steps&step != 0 }
