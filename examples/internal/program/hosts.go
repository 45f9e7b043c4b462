package program

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bridgehead-mail/bridgehead/routing"
)

// Host checks the smart host in a setting. Table would report it with the name of its
// connector, and not of the setting.
func (k *Kit) Host(setting string, host routing.SmartHost) {
	if strings.ContainsAny(host.Host, " \t,;") {
		k.Fault(setting, fmt.Errorf("%q is not one host", host.Host))
		return
	}
	k.route(setting, routing.Connector{Spaces: []string{"*"}, SmartHosts: []routing.SmartHost{host}})
}

// RequireHost checks a setting that must have a smart host.
func (k *Kit) RequireHost(setting, host string) {
	k.Require(setting, host != "")
	if host != "" {
		k.Host(setting, routing.SmartHost{Host: host})
	}
}

// Space checks the address space in a setting, as Host checks a smart host.
func (k *Kit) Space(setting, space string) {
	k.route(setting, routing.Connector{Spaces: []string{space}})
}

// route reports what is wrong with a connector as a fault of a setting.
func (k *Kit) route(setting string, c routing.Connector) {
	c.Name = setting
	_, err := routing.NewTable(c)
	if e := (*routing.ConfigError)(nil); errors.As(err, &e) {
		k.Fault(setting, errors.New(e.Problem))
	}
}
