package program

import (
	"fmt"
	"net"
	"net/netip"
	"os"
)

// checkAddresses reports a -metrics that is not an address, and web servers that have
// the address of a listener or of each other. The relay itself compares its listeners.
func (k *Kit) checkAddresses(r *Rules) {
	used := make(map[string]string) // the setting of each address
	for _, c := range r.Receive {
		used[c.Address] = c.setting()
	}
	for _, web := range []struct{ setting, address string }{{"metrics", k.Metrics}, {"console", k.Console.Address}} {
		if web.address == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(web.address); err != nil {
			if web.setting == "metrics" { // the console checks its own
				k.Fault(web.setting, fmt.Errorf("%q is not an address with a port, as 127.0.0.1:9025", web.address))
			}
			continue
		}
		for address, setting := range used {
			if overlap(address, web.address) {
				k.Fault(web.setting, fmt.Errorf("%s is also the address of -%s", web.address, setting))
			}
		}
		used[web.address] = web.setting
	}
}

// overlap reports whether two sockets cannot have these addresses at the same time.
func overlap(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	return hostA == hostB || isAny(hostA) || isAny(hostB)
}

// isAny reports whether a host means all addresses.
func isAny(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

// checkFolders reports folders that are files, and folders that two settings have. For
// example, mail in a folder of both -bad-mail and -pickup would be sent again.
func (k *Kit) checkFolders() {
	used := make(map[string]string)
	for _, f := range []struct{ setting, path string }{{k.state, k.State}, {"pickup", k.Pickup}, {"replay", k.Replay}, {"bad-mail", k.BadMail}} {
		if f.path == "" {
			continue
		}
		if info, err := os.Stat(f.path); err == nil && !info.IsDir() {
			k.Fault(f.setting, fmt.Errorf("%s is not a folder", f.path))
		}
		if first := used[f.path]; first != "" {
			k.Fault(f.setting, fmt.Errorf("%s is also the folder of -%s", f.path, first))
		}
		used[f.path] = f.setting
	}
}
