package milter

import (
	"fmt"
	"net"

	gomilter "github.com/emersion/go-milter"
)

// The actions and protocol steps that a milter may select. It cannot request
// rejected recipients, which agents do not get, or its own list of macros.
const (
	allActions = gomilter.OptAddHeader | gomilter.OptChangeBody | gomilter.OptAddRcpt | gomilter.OptRemoveRcpt |
		gomilter.OptChangeHeader | gomilter.OptQuarantine | gomilter.OptChangeFrom | gomilter.OptAddRcptWithArgs

	allSteps = gomilter.OptNoConnect | gomilter.OptNoHelo | gomilter.OptNoMailFrom | gomilter.OptNoRcptTo | gomilter.OptNoData |
		gomilter.OptNoHeaders | gomilter.OptNoEOH | gomilter.OptNoBody | gomilter.OptNoUnknown |
		gomilter.OptNoConnReply | gomilter.OptNoHeloReply | gomilter.OptNoMailReply | gomilter.OptNoRcptReply | gomilter.OptNoDataReply |
		gomilter.OptNoHeaderReply | gomilter.OptNoEOHReply | gomilter.OptNoBodyReply | gomilter.OptNoUnknownReply |
		gomilter.OptSkip | gomilter.OptHeaderLeadingSpace
)

// dialed is a dialer that returns an existing connection.
type dialed struct{ conn net.Conn }

func (d dialed) Dial(string, string) (net.Conn, error) { return d.conn, nil }

// negotiate negotiates version, actions and steps with the milter. It does not
// use the timeouts of go-milter, because they start again with each packet.
func (v *conversation) negotiate() error {
	client := gomilter.NewClientWithOptions("", "", gomilter.ClientOptions{
		Dialer: dialed{v.guard}, ActionMask: allActions, ProtocolMask: allSteps,
	})
	s, err := client.Session()
	if err != nil {
		return err
	}
	v.session = s
	if more := s.ActionOpts &^ allActions; more != 0 {
		return fmt.Errorf("%w: the milter selected actions %#x that were not offered", errProtocol, more)
	}
	if more := s.ProtocolOpts &^ allSteps; more != 0 {
		return fmt.Errorf("%w: the milter selected steps %#x that were not offered", errProtocol, more)
	}
	if v.guard.version < 4 { // DATA exists since version 4
		s.ProtocolOpts |= gomilter.OptNoData
	}
	return nil
}

func (v *conversation) without(step gomilter.OptProtocol) bool { return v.session.ProtocolOption(step) }
