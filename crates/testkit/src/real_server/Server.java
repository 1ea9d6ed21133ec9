// An HTTPS server of the JDK that demands client certificates.
//
// Arguments: certificate chain, key, CA of the clients, and which of the JDK's two ways to serve TLS: HttpsServer or
// SSLServerSocket. Says where it listens (TLS 1.2, TLS 1.3), then names every request that it read whole.

import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsParameters;
import com.sun.net.httpserver.HttpsServer;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.concurrent.Executors;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.TrustManagerFactory;

class Server {
    static final InetSocketAddress ANYWHERE = new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);

    public static void main(String[] args) throws Exception {
        SSLContext context = context(certificates(args[0]), key(args[1]), certificates(args[2]));
        int[] ports = new int[2];
        for (int i = 0; i < 2; i++) {
            SSLParameters demands = context.getDefaultSSLParameters();
            demands.setNeedClientAuth(true);
            demands.setProtocols(new String[] {i == 0 ? "TLSv1.2" : "TLSv1.3"});
            ports[i] = args[3].equals("HttpsServer") ? serve(context, demands) : accept(context, demands);
        }
        System.out.println("READY " + ports[0] + " " + ports[1]);
    }

    static int serve(SSLContext context, SSLParameters demands) throws Exception {
        HttpsServer server = HttpsServer.create(ANYWHERE, 0);
        server.setHttpsConfigurator(new HttpsConfigurator(context) {
            @Override
            public void configure(HttpsParameters parameters) {
                parameters.setSSLParameters(demands);
            }
        });
        server.createContext("/", exchange -> {
            long length = exchange.getRequestBody().transferTo(OutputStream.nullOutputStream());
            System.out.println("REQUEST " + exchange.getRequestURI() + " " + length);
            exchange.sendResponseHeaders(200, -1);
            exchange.close();
        });
        server.setExecutor(Executors.newCachedThreadPool());
        server.start();
        return server.getAddress().getPort();
    }

    static int accept(SSLContext context, SSLParameters demands) throws Exception {
        SSLServerSocket listener = (SSLServerSocket) context.getServerSocketFactory().createServerSocket();
        listener.setSSLParameters(demands);
        listener.bind(ANYWHERE);
        new Thread(() -> {
            while (true) {
                try {
                    Socket socket = listener.accept();
                    new Thread(() -> answer(socket)).start();
                } catch (IOException broken) {
                    System.err.println(broken);
                }
            }
        }).start();
        return listener.getLocalPort();
    }

    /** Answers one request. */
    static void answer(Socket socket) {
        try (socket) {
            InputStream in = socket.getInputStream();
            StringBuilder head = new StringBuilder();
            while (head.indexOf("\r\n\r\n") < 0) {
                int next = in.read();
                if (next < 0) {
                    return;
                }
                head.append((char) next);
            }
            Matcher length = Pattern.compile("(?i)content-length: (\\d+)").matcher(head);
            int body = length.find() ? in.readNBytes(Integer.parseInt(length.group(1))).length : 0;
            System.out.println("REQUEST " + head.toString().split(" ")[1] + " " + body);
            String answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            socket.getOutputStream().write(answer.getBytes(StandardCharsets.US_ASCII));
        } catch (IOException broken) {
            System.err.println(broken);
        }
    }

    static SSLContext context(Certificate[] chain, PrivateKey key, Certificate[] clients) throws Exception {
        char[] password = new char[0];
        KeyStore own = empty();
        own.setKeyEntry("own", key, password, chain);
        KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keys.init(own, password);
        KeyStore trusted = empty();
        for (Certificate root : clients) {
            trusted.setCertificateEntry("root", root);
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(trusted);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
        return context;
    }

    static KeyStore empty() throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        return store;
    }

    static Certificate[] certificates(String path) throws Exception {
        byte[] pem = Files.readAllBytes(Path.of(path));
        CertificateFactory reader = CertificateFactory.getInstance("X.509");
        return reader.generateCertificates(new ByteArrayInputStream(pem)).toArray(new Certificate[0]);
    }

    static PrivateKey key(String path) throws Exception {
        String pem = Files.readString(Path.of(path)).replaceAll("-----[A-Z ]+-----|\\s", "");
        PKCS8EncodedKeySpec encoded = new PKCS8EncodedKeySpec(Base64.getDecoder().decode(pem));
        return KeyFactory.getInstance("EC").generatePrivate(encoded);
    }
}
