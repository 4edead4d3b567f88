"""Lists that titles, axes and labels are made of. words.py splits them, titles.py puts them together."""

# What charts measure: a phrase, then the units that its axis may name.
MEASURES = """
Sales|USD|units|USD millions|thousands;Revenue|USD millions|$ billions|EUR millions|million USD|in billions
Net income|USD millions|$ millions;Operating profit|EUR millions|$ millions;Gross margin|%;Profit margin|%
Market share|%;Market capitalization|$ billions|USD trillions;Total assets|USD billions;Debt|% of GDP|$ billions
GDP|USD billions|trillion USD;GDP per capita|USD|current US$;GDP growth|%|annual %;Inflation rate|%;Interest rate|%
Unemployment rate|%;Employment rate|%;Minimum wage|USD per hour|EUR;Median income|USD|thousands of dollars
Household income|USD;Average salary|USD|USD thousands|EUR;Poverty rate|%;Tax revenue|% of GDP|USD billions
Government spending|% of GDP|USD billions;Military expenditure|% of GDP|USD billions;Foreign investment|USD billions
Exports|USD billions|million tonnes;Imports|USD billions|million tonnes;Trade balance|USD billions;Exchange rate|USD per EUR
Stock price|USD|$;Share price|EUR|USD;Closing price|USD;House prices|USD thousands|index;Rent|USD per month|EUR
Fuel price|USD per litre|$ per gallon;Oil price|USD per barrel;Gold price|USD per ounce;Electricity price|cents per kWh
Population|millions|thousands|million people;Population density|people per km²;Population growth|%|annual %
Life expectancy|years;Birth rate|per 1,000 people;Death rate|per 1,000 people;Fertility rate|births per woman
Infant mortality|per 1,000 live births;Median age|years;Migration|thousands;Number of immigrants|thousands
Literacy rate|%;School enrollment|%;Number of students|thousands;Graduation rate|%;Test scores|points;Exam results|points
Tuition fees|USD|EUR;Student debt|USD billions;Class size|students;Years of schooling|years
Temperature|°C|°F;Average temperature|°C|°F;Maximum temperature|°C;Minimum temperature|°C;Rainfall|mm|inches
Precipitation|mm;Annual rainfall|mm;Snowfall|cm;Humidity|%;Wind speed|km/h|m/s|mph;Air pressure|hPa;Sunshine|hours
Sea level|mm|cm;Ice extent|million km²;Ozone concentration|ppb|Dobson units;Water level|m|cm;River discharge|m³/s
CO2 emissions|Mt|million tonnes|tonnes per capita;Carbon dioxide|ppm;Greenhouse gas emissions|Mt CO2e|kt
Methane emissions|Mt;Air quality index|AQI;Particulate matter|µg/m³;Noise level|dB;Water quality|index;Forest area|% of land
Deforestation|km²|hectares;Protected areas|%;Species richness|species;Biodiversity index|index
Electricity production|TWh|GWh;Electricity consumption|kWh per capita|TWh;Energy use|PJ|Mtoe;Energy demand|GW|TWh
Power output|MW|GW;Installed capacity|GW|MW;Renewable share|%;Renewable energy|%|TWh;Solar capacity|GW;Wind capacity|GW
Gas consumption|bcm;Coal production|million tonnes;Oil production|thousand barrels per day;Fuel efficiency|mpg|L/100 km
Water consumption|litres|m³;Waste generated|kg per capita|million tonnes;Recycling rate|%;Plastic waste|million tonnes
Crop yield|t/ha|tonnes per hectare;Harvest|tonnes;Wheat production|million tonnes;Rice production|million tonnes
Meat consumption|kg per person;Milk yield|litres;Fish catch|thousand tonnes;Fertilizer use|kg/ha;Farmland|hectares
Calories|kcal;Protein content|g|g per 100 g;Fat content|g;Sugar content|g;Vitamin C content|mg;Sodium|mg
Body weight|kg|lb;Height|cm|m;Body mass index|kg/m²;Blood pressure|mmHg;Heart rate|bpm;Blood glucose|mg/dL;Cholesterol|mg/dL
Vaccination rate|%;Vaccine doses|millions;Confirmed cases|thousands;New cases|per day;Deaths|thousands;Hospital beds|per 1,000 people
Hospital admissions|patients;Waiting time|minutes|days;Survival rate|%;Recovery time|days;Smoking prevalence|%;Obesity rate|%
Health spending|USD per capita|% of GDP;Number of doctors|per 10,000 people;Drug use|%;Alcohol consumption|litres per capita
Website traffic|visits|thousands;Page views|millions;Unique visitors|thousands;Bounce rate|%;Conversion rate|%;Click-through rate|%
Active users|millions;Monthly active users|millions;Daily active users|millions;New subscribers|thousands;Subscribers|millions
Downloads|millions|thousands;Streaming hours|hours|millions;Watch time|minutes;Followers|thousands|millions;Likes|thousands
Internet users|%|millions;Mobile subscriptions|per 100 people;Broadband speed|Mbps;Download speed|Mbps;Screen time|hours per day
Response time|ms|seconds;Latency|ms;Throughput|MB/s|requests per second;Error rate|%;CPU usage|%;Memory usage|MB|GB
Disk usage|GB|TB;Network traffic|Mbps|GB;Execution time|s|ms;Runtime|seconds|minutes;Accuracy|%;Training loss;Validation accuracy|%
Precision|%;Recall|%;F1 score;Batch size;Learning rate;Number of parameters|millions;Bandwidth|GB/s|MHz;Battery life|hours
Customer satisfaction|%|score;Customer reviews|stars;Average rating|stars|points;Number of complaints;Support tickets
Response rate|%|percent;Voter turnout|%;Votes|thousands|%;Approval rating|%;Seats;Public support|%;Election results|%
Number of employees|thousands;Headcount|FTE;Staff turnover|%;Working hours|hours per week;Overtime|hours;Sick days|days
Absenteeism|%;Job openings|thousands;Productivity|units per hour;Output|units|tonnes;Defect rate|%|ppm;Downtime|hours;Delivery time|days
Orders|thousands;Shipments|units|thousands;Inventory|units|USD thousands;Units sold|thousands|units;Order value|USD;Returns|%
Advertising spend|USD millions|EUR;Marketing budget|USD thousands;Cost per click|USD;Budget|EUR|USD millions;Expenses|USD thousands
Costs|EUR|USD millions;Production cost|USD per unit;Operating costs|EUR millions;Savings|USD;Donations|USD millions;Loans|EUR billions
Passengers|millions|thousands;Number of flights|thousands;Flight delays|minutes;Ridership|millions;Traffic volume|vehicles per day
Car sales|thousands|million units;Electric vehicle sales|millions|%;Vehicle registrations|thousands;Road accidents|thousands
Fatalities|per 100,000 people;Travel time|minutes;Commute time|minutes;Distance|km|miles;Speed|km/h|m/s;Freight volume|million tonnes
Tourist arrivals|millions;Hotel occupancy|%;Visitors|thousands|millions;Museum visitors|thousands;Ticket sales|USD millions
Box office revenue|USD millions;Book sales|thousands;Album sales|millions;Games played;Goals scored|goals;Points scored|points
Wins;Medals won|medals;Attendance|thousands;Attendance rate|%;Batting average;Number of matches;Player ratings|points
Crime rate|per 100,000 people;Burglaries|thousands;Prison population|thousands;Fires;Emergency calls|thousands
Voltage|V|mV;Current|A|mA;Resistance|Ω|kΩ;Power|W|kW;Energy|J|kWh;Frequency|Hz|kHz;Force|N|kN;Pressure|kPa|bar|Pa
Mass|kg|g;Weight|kg|g;Length|mm|cm|m;Width|mm|cm;Depth|m|km;Area|m²|km²|ha;Volume|L|m³|mL;Density|g/cm³;Concentration|mg/L|mol/L
Time|s|ms|min|hours;Duration|s|min|days;Age|years;Angle|degrees;Velocity|m/s;Acceleration|m/s²;Amplitude|mm;Intensity|a.u.
Petal length|cm;Petal width|cm;Sepal length|cm;Sepal width|cm;Bill length|mm;Flipper length|mm;Engine size|L;Horsepower|hp
Growth rate|%;Change|%|percentage points;Index|2015 = 100|points;Score|points;Rating|stars;Count;Frequency;Percentage|%;Share|%
Total|thousands;Amount|USD|EUR;Number;Quantity|units|tonnes;Value|USD|EUR|millions;Average|points;Median;Rate|%;Level|m;Ratio;Probability;Capacity|MW|tonnes
"""
PERIOD_WORDS = "Monthly Annual Yearly Weekly Daily Quarterly Average Total Median Global Estimated Projected Actual".split()
SUBJECTS = """
renewable energy;electric cars;mobile phones;smartphones;laptops;social media;fast food;organic food;fresh fruit;dairy products
public transport;higher education;primary schools;secondary schools;health care;mental health;housing market;small businesses
large companies;start-ups;online shopping;video games;board games;music streaming;movie theaters;live concerts;national parks
wild animals;endangered species;domestic animals;pets;honey bees;forest fires;earthquakes;hurricanes;storms;floods;droughts
plastic bottles;recycled paper;drinking water;waste water;solar panels;wind turbines;nuclear power;natural gas;crude oil;coal mines
steel industry;textile industry;car industry;tourism industry;fishing industry;film industry;food industry;construction sector
private sector;public sector;service sector;labor market;foreign workers;young people;older adults;teenagers;children;families
single parents;first-time buyers;university students;teachers;nurses;doctors;engineers;farmers;drivers;pilots;soldiers;volunteers
customers;patients;passengers;tourists;voters;employees;managers;respondents;households;residents;immigrants;refugees;prisoners
newspapers;magazines;television;radio stations;podcasts;websites;mobile apps;operating systems;web browsers;search engines
programming languages;databases;cloud services;data centers;computer chips;robots;drones;satellites;space missions;rockets
football clubs;tennis players;Olympic medals;marathon runners;gym members;bicycles;motorcycles;trucks;trains;airports;harbors
coffee;tea;beer;wine;bread;cheese;chocolate;sugar;meat;fish;vegetables;cereals;olive oil;eggs;apples;bananas;potatoes;tomatoes
cotton;wool;leather;timber;cement;copper;gold;silver;lithium;rare metals;diamonds;vaccines;antibiotics;medical devices;hospitals
libraries;museums;theaters;restaurants;hotels;supermarkets;shopping malls;bookstores;pharmacies;banks;insurance companies;pension funds
government bonds;stocks;real estate;credit cards;bank loans;crypto assets;taxes;subsidies;charities;elections;parliament;local councils
bridges;roads;tunnels;dams;buildings;apartments;offices;factories;warehouses;farms;gardens;lakes;rivers;oceans;glaciers;mountains
"""
DIMENSIONS = """
region;country;city;state;province;district;continent;department;product;product category;product line;brand;model;company;industry
sector;team;player;season;month;quarter;year;week;weekday;hour;day of the week;age group;gender;income level;education level;occupation
job title;customer segment;channel;platform;device;browser;operating system;language;genre;school;grade;subject;university;species
type;size;color;material;fuel type;energy source;crop;store;branch;office;supplier;method;group;treatment;experiment;category;class
payment method;traffic source;vehicle type;political party;status;priority;time of day;decade;marital status;household size;race;airline
"""
PLACES = """
Europe;Asia;Africa;North America;South America;Latin America;Oceania;the Middle East;Southeast Asia;Western Europe;Eastern Europe;Scandinavia
the United States;the United Kingdom;the EU;the OECD;the US;the UK;the Netherlands;the Philippines;South Korea;South Africa;New Zealand
Saudi Arabia;Sri Lanka;Costa Rica;Puerto Rico;Hong Kong;New York;Los Angeles;San Francisco;San Diego;Las Vegas;New Orleans;Washington
Philadelphia;Phoenix;Atlanta;Detroit;Minneapolis;Portland;Baltimore;Cleveland;Pittsburgh;Austin;Nashville;Sacramento;Rotterdam;Antwerp
Manchester;Birmingham;Liverpool;Leeds;Glasgow;Edinburgh;Bristol;Cardiff;Belfast;Frankfurt;Cologne;Stuttgart;Leipzig;Dresden;Hanover
Marseille;Toulouse;Bordeaux;Lille;Nice;Strasbourg;Valencia;Bilbao;Malaga;Granada;Florence;Bologna;Genoa;Palermo;Krakow;Gdansk;Bergen
Gothenburg;Malmo;Aarhus;Tampere;Reykjavik;Riga;Vilnius;Zagreb;Belgrade;Sarajevo;Tirana;Skopje;Odessa;Kharkiv;Minsk;Tbilisi;Baku;Yerevan
Tehran;Riyadh;Doha;Muscat;Beirut;Damascus;Amman;Jerusalem;Haifa;Alexandria;Casablanca;Tunis;Algiers;Tripoli;Khartoum;Addis Ababa;Kampala
Kigali;Lusaka;Harare;Maputo;Durban;Cape Town;Johannesburg;Pretoria;Luanda;Kinshasa;Abuja;Ibadan;Abidjan;Calcutta;Chennai;Bangalore
Hyderabad;Ahmedabad;Pune;Jaipur;Lahore;Dhaka;Kathmandu;Colombo;Rangoon;Saigon;Singapore;Taipei;Osaka;Kyoto;Nagoya;Sapporo;Busan;Incheon
Guangzhou;Shenzhen;Wuhan;Chengdu;Tianjin;Harbin;Brisbane;Adelaide;Canberra;Auckland;Wellington;Honolulu;Anchorage;Vancouver;Calgary
Ottawa;Winnipeg;Halifax;Tijuana;Monterrey;Guadalajara;Panama City;Kingston;Caracas;Medellin;Guayaquil;Santiago;Valparaiso;Cordoba;Rosario
California;Texas;Florida;Ohio;Illinois;Pennsylvania;Georgia;Michigan;Virginia;Arizona;Tennessee;Indiana;Missouri;Maryland;Wisconsin;Colorado
Minnesota;Alabama;Louisiana;Kentucky;Oregon;Oklahoma;Connecticut;Utah;Iowa;Nevada;Arkansas;Mississippi;Kansas;Idaho;Hawaii;Maine;Montana
Delaware;Alaska;Vermont;Wyoming;Bavaria;Saxony;Catalonia;Andalusia;Lombardy;Tuscany;Sicily;Normandy;Brittany;Flanders;Scotland;Wales;England
"""
# Groups of categories beside those of words.py: a noun for one and for several, then names.
LABELS = """
job|jobs|Software Engineer;Data Analyst;Data Scientist;Product Manager;Project Manager;Sales Manager;Sales Representative;Marketing Manager
Accountant;Nurse;Teacher;Graphic Designer;Web Developer;Business Analyst;Office Manager;Store Manager;Customer Support;Civil Engineer
Mechanical Engineer;Electrician;Plumber;Carpenter;Chef;Waiter;Cashier;Truck Driver;Bus Driver;Pilot;Lawyer;Judge;Doctor;Dentist;Pharmacist
Veterinarian;Architect;Journalist;Photographer;Librarian;Social Worker;Police Officer;Firefighter;Security Guard;Research Assistant;Professor
Consultant;Financial Analyst;Bank Clerk;Insurance Agent;Real Estate Agent;Receptionist;Translator;Farmer;Gardener;Machine Operator;Technician
===department|departments|Human Resources;Finance;Information Technology;IT Support;Research and Development;R&D;Customer Service;Public Relations
Quality Assurance;Product Development;Business Development;Supply Chain;Legal Affairs;Risk Management;Internal Audit;Corporate Strategy
Data Science;Digital Marketing;Field Sales;Key Accounts;Talent Acquisition;Executive Office;Health and Safety;Purchasing;Manufacturing
===browser|browsers|Chrome;Safari;Firefox;Edge;Opera;Samsung Internet;Internet Explorer;Brave;Vivaldi;UC Browser;Yandex Browser;Chromium
===language|languages|Python;JavaScript;Java;C;C++;C#;Go;Rust;TypeScript;PHP;Ruby;Swift;Kotlin;Scala;Perl;Haskell;Julia;MATLAB;R;SQL;Lua;Dart
Fortran;COBOL;Erlang;Elixir;Clojure;Groovy;Bash;PowerShell;Objective-C;Visual Basic;Assembly;Pascal;Prolog;Scheme;HTML/CSS;Ada
===platform|platforms|Facebook;Instagram;YouTube;TikTok;Twitter;WhatsApp;LinkedIn;Snapchat;Pinterest;Reddit;WeChat;Telegram;Discord;Messenger
Twitch;Spotify;Netflix;Disney+;Hulu;Prime Video;Tumblr;Signal;Skype;Zoom;Slack
===system|systems|Windows;macOS;Linux;Android;iOS;Chrome OS;Ubuntu;Debian;Fedora;Windows 10;Windows 11;Windows 7;FreeBSD;Solaris
===device|devices|Desktop;Mobile;Tablet;Smartphone;Laptop;Smart TV;Game console;Smartwatch;E-reader;Smart speaker;VR headset;Camera;Router
===brand|brands|Toyota;Volkswagen;Ford;Honda;Nissan;Hyundai;Kia;BMW;Mercedes-Benz;Audi;Tesla;Renault;Peugeot;Fiat;Skoda;Volvo;Mazda;Subaru
Samsung;Apple;Huawei;Xiaomi;Oppo;Sony;Nokia;Motorola;Lenovo;Dell;Asus;Acer;Canon;Nikon;Philips;Siemens;Bosch;Nike;Adidas;Puma;Zara;Ikea
===company|companies|Google;Microsoft;Amazon;Meta;Intel;Nvidia;Oracle;IBM;Cisco;Adobe;Walmart;Costco;Target;Home Depot;Coca-Cola;Pepsi
Nestle;Unilever;Procter & Gamble;Pfizer;Novartis;Roche;Bayer;Shell;BP;Exxon;Chevron;Boeing;Airbus;Lufthansa;Delta;FedEx;UPS;DHL;Visa
===genre|genres|Action;Comedy;Drama;Horror;Thriller;Romance;Science Fiction;Fantasy;Documentary;Animation;Adventure;Crime;Mystery;Western
Musical;Biography;History;War;Family;Pop;Rock;Jazz;Classical;Hip Hop;Country;Electronic;Folk;Blues;Reggae;Metal;Soul;Role-playing;Puzzle
===education|levels|No degree;Primary school;Middle school;High school;Some college;Bachelor's degree;Master's degree;Doctorate;Vocational
Associate degree;Professional degree;Less than high school;College graduate;Apprenticeship;Kindergarten
===subject|subjects|Mathematics;Physics;Chemistry;Biology;History;Geography;Economics;Psychology;Philosophy;Literature;Computer Science;Art
Music;Physical Education;Foreign Languages;Statistics;Sociology;Political Science;Law;Medicine;Nursing;Engineering;Business;Astronomy
===source|sources|Solar;Wind;Hydropower;Nuclear;Natural gas;Crude oil;Hard coal;Brown coal;Biomass;Geothermal;Offshore wind;Onshore wind
Rooftop solar;Waste heat;Tidal power;Other renewables;Petroleum;Wood pellets
===channel|channels|Direct;Organic search;Paid search;Social media;Email;Referral;Display ads;Affiliate;Word of mouth;Television;Radio;Print
Newspaper;Billboards;Events;Trade shows;Cold calls;Retail stores;Online store;Wholesale;Marketplace;Mobile app
===type|types|Cash;Credit card;Debit card;Bank transfer;PayPal;Gift card;Invoice;Mobile payment;Check;Direct debit;Cash on delivery
===item|items|Rent;Groceries;Utilities;Transportation;Entertainment;Healthcare;Insurance;Clothing;Savings;Dining out;Travel;Education;Housing
Personal care;Gifts;Charity;Mortgage;Car payment;Phone bill;Internet;Subscriptions;Childcare;Pet care;Taxes;Miscellaneous;Other
===category|categories|Office Supplies;Furniture;Technology;Electronics;Home & Garden;Sports & Outdoors;Toys & Games;Health & Beauty;Books
Home appliances;Kitchenware;Jewelry;Footwear;Accessories;Groceries;Beverages;Frozen food;Snacks;Baby products;Pet supplies;Automotive
Men's clothing;Women's clothing;Stationery;Musical instruments;Power tools;Software;Cosmetics;Bakery;Seafood;Dairy;Canned goods
===product|products|Office chair;Standing desk;Desk lamp;Wireless mouse;Mechanical keyboard;USB cable;External drive;Graphics card;Phone case
Water bottle;Running shoes;Rain jacket;Winter coat;Leather belt;Sun glasses;Coffee maker;Electric kettle;Air fryer;Vacuum cleaner;Hair dryer
Washing machine;Dishwasher;Refrigerator;Microwave;Orange juice;Green tea;Iced coffee;Cheese pizza;Chicken wings;Veggie burger;Caesar salad
Chocolate cake;Apple pie;Ice cream;Peanut butter;Tomato soup;Mountain bike;Yoga mat;Tennis racket;Hiking boots;Camping tent;Board game
===species|species|Adelie;Chinstrap;Gentoo;Setosa;Versicolor;Virginica;Bald eagle;Grey wolf;Brown bear;Red fox;Blue whale;Sea turtle;Barn owl
Snow leopard;House mouse;Honey bee;Fruit fly;Zebrafish;Atlantic salmon;African elephant;White rhino;Polar bear;Giant panda;Harbor seal
===country|countries|United States;United Kingdom;South Korea;South Africa;New Zealand;Saudi Arabia;Czech Republic;Costa Rica;Sri Lanka;Hong Kong
Puerto Rico;United Arab Emirates;Dominican Republic;Ivory Coast;North Korea;El Salvador;Papua New Guinea;Sierra Leone;Burkina Faso;Kazakhstan
Uzbekistan;Afghanistan;Azerbaijan;Kyrgyzstan;Turkmenistan;Luxembourg;Montenegro;Mozambique;Madagascar;Mauritius;Myanmar;Nicaragua;Venezuela
Ukraine;Slovakia;Slovenia;Romania;Bulgaria;Croatia;Austria;Belgium;Denmark;Finland;Hungary;Ireland;Portugal;Switzerland;USA;UK;UAE;EU
===region|regions|North America;South America;Latin America;Central America;Middle East;North Africa;Sub-Saharan Africa;East Asia;South Asia
Southeast Asia;Central Asia;Western Europe;Eastern Europe;Northern Europe;Southern Europe;Oceania;Caribbean;Asia;Africa;Europe;Americas
Asia Pacific;Middle East & Africa;EMEA;APAC;New England;Great Plains;West Coast;East Coast;Pacific Northwest;Southwest;Midwest;Deep South
===state|states|California;Texas;Florida;New York;Illinois;Ohio;Georgia;North Carolina;Michigan;New Jersey;Virginia;Washington;Arizona
Massachusetts;Tennessee;Indiana;Missouri;Maryland;Wisconsin;Colorado;Minnesota;South Carolina;Alabama;Louisiana;Kentucky;Oregon;Oklahoma
Connecticut;Utah;Iowa;Nevada;Arkansas;Mississippi;Kansas;New Mexico;Nebraska;Idaho;West Virginia;Hawaii;New Hampshire;Maine;Montana
Rhode Island;Delaware;South Dakota;North Dakota;Alaska;Vermont;Wyoming
===city|cities|New York;Los Angeles;San Francisco;Las Vegas;San Diego;New Orleans;Philadelphia;Phoenix;Atlanta;Detroit;Portland;Washington
Mexico City;Sao Paulo;Rio de Janeiro;Buenos Aires;Cape Town;Johannesburg;Tel Aviv;Abu Dhabi;New Delhi;Hong Kong;Kuala Lumpur;Bangalore
Osaka;Rotterdam;Frankfurt;Manchester;Birmingham;Edinburgh;Gothenburg;Marseille;Krakow;St. Petersburg;Addis Ababa;Ho Chi Minh City;Auckland
===answer|answers|Strongly agree;Strongly disagree;Somewhat agree;Somewhat disagree;Very satisfied;Very dissatisfied;Very likely;Not at all
Don't know;No answer;Not sure;No opinion;About the same;Much better;Much worse;Not important;Very important;Once a week;Every day;At least once
Less than once a month;Several times a week;A few times a year;Very good;Very bad;Too much;Too little;Prefer not to say;None of the above;Yes;No;Maybe
===cause|causes|Heart disease;Cancer;Stroke;Diabetes;Pneumonia;Influenza;Accidents;Alzheimer's disease;Kidney disease;Tuberculosis;Malaria
Lung cancer;Breast cancer;Suicide;Liver disease;Hypertension;Asthma;Obesity;Depression;Anxiety;Back pain;Migraine;Allergies;Road injuries
===reason|reasons|High cost;Lack of time;Poor quality;Bad service;Long waiting time;Low salary;Career change;Family reasons;Better offer
Price;Quality;Convenience;Location;Brand reputation;Delivery speed;Customer reviews;Data privacy;Health concerns;Weather;Traffic
===stage|stages|Awareness;Interest;Consideration;Purchase;Loyalty;Planning;Analysis;Design;Development;Testing;Deployment;Maintenance;Prototype
Research;Production;Launch;Review;Backlog;In progress;Done;Blocked;Open;Closed;On hold;To do;Pending;Approved;Rejected;Shipped;Delivered
===party|parties|Democrats;Republicans;Labour;Conservatives;Liberals;Greens;Social Democrats;Independents;Christian Democrats;Left Party;Others
===sport|sports|Table tennis;Ice hockey;American football;Water polo;Field hockey;Beach volleyball;Figure skating;Track and field;Horse racing
Martial arts;Rock climbing;Weightlifting;Snowboarding;Formula 1;Cross-country skiing;Mountain biking;Scuba diving;Soccer;Softball
===method|methods|Linear regression;Decision tree;Random forest;Neural network;Naive Bayes;Logistic regression;Baseline;Ours;Gradient boosting
Nearest neighbor;Genetic algorithm;Simulated annealing;Quick sort;Merge sort;Bubble sort;Heap sort;Transformer;ResNet;BERT;LSTM;CNN;GPT
===organization|organizations|World Bank;United Nations;Red Cross;European Union;World Health Organization;Ministry of Health;City Council
Central Bank;National Park Service;Department of Energy;Federal Reserve;State University;Public Library;Chamber of Commerce
"""
SERIES = """
2019;2020|2020;2021|2021;2022|2022;2023|2018;2019;2020|2020;2021;2022|2021;2022;2023|2000;2010;2020|1990;2000;2010;2020|Male;Female|Men;Women
Female;Male|Total;Average|Actual;Forecast|Actual;Target|Planned;Actual|Budget;Actual|Estimate;Actual|Observed;Expected|Observed;Predicted
Revenue;Expenses|Revenue;Costs|Sales;Profit|Income;Expenses|Assets;Liabilities|Exports;Imports|Buy;Sell|Open;Close|High;Low|Min;Max|Mean;Median
Minimum;Maximum|Minimum;Average;Maximum|Low;Medium;High|Small;Medium;Large|Train;Test|Train;Validation|Training;Validation;Test|Control;Treatment
Control;Group A;Group B|Placebo;Drug|Group A;Group B|Group 1;Group 2|Group 1;Group 2;Group 3|Product A;Product B|Product A;Product B;Product C
Series 1;Series 2|Series 1;Series 2;Series 3|Series A;Series B|Series1;Series2|Team A;Team B|Model A;Model B|Model A;Model B;Model C|Class A;Class B
Option A;Option B|Plan A;Plan B|Scenario 1;Scenario 2|Region A;Region B|Store 1;Store 2;Store 3|Plant A;Plant B|Sample 1;Sample 2|Run 1;Run 2;Run 3
Before;After|Pre-test;Post-test|Baseline;Follow-up|Urban;Rural|Online;In store|Online;Retail;Wholesale|Domestic;International|Import;Export
Public;Private|Full-time;Part-time|Permanent;Temporary|New customers;Returning customers|New;Returning|Free;Paid|Basic;Standard;Premium
Desktop;Mobile|Desktop;Mobile;Tablet|iOS;Android|Windows;macOS;Linux|Electric;Hybrid;Petrol|Petrol;Diesel|Renewable;Fossil|Solar;Wind;Hydro
Coal;Gas;Oil|Coal;Oil;Gas;Nuclear|Children;Adults|Children;Adults;Seniors|Under 18;18-64;65 and over|18-29;30-49;50-64;65+|Young;Middle-aged;Old
Boys;Girls|Teachers;Students|Primary;Secondary;Tertiary|Freshman;Sophomore;Junior;Senior|Undergraduate;Graduate|Smokers;Non-smokers|Yes;No
Yes;No;Don't know|Agree;Neutral;Disagree|Approve;Disapprove|Favorable;Unfavorable|Positive;Negative|Positive;Neutral;Negative|Win;Draw;Loss
Home;Away|Wins;Losses|First half;Second half|Spring;Fall|Summer;Winter|Q1;Q2|Q1;Q2;Q3|Q1;Q2;Q3;Q4|Week 1;Week 2|Weekday;Weekend|Lunch;Dinner|Day;Night
AM;PM|Morning;Afternoon;Evening|North;South|East;West|North;East;South;West|Europe;Asia|Europe;Asia;Africa|USA;China|US;EU;China|UK;Germany;France
Germany;France;Italy;Spain|Democrats;Republicans|Confirmed;Recovered;Deaths|Cases;Deaths|Births;Deaths|Gold;Silver;Bronze|Carbs;Protein;Fat
Rainfall;Temperature|Temperature;Humidity|Price;Volume|Clicks;Impressions|Visitors;Page views|Orders;Returns|Hired;Left|Open;Closed|Opened;Resolved
In progress;Done|To do;In progress;Done|Low risk;High risk|Method 1;Method 2|Baseline;Proposed|CPU;GPU|Read;Write|Upload;Download|Input;Output
"""
AXES = """
Year;Month;Quarter;Week;Day;Date;Time;Hour;Country;Region;City;State;Product;Category;Department;Company;Brand;Model;Team;Player;Age;Age group
Gender;Species;Group;Type;Class;Store;Industry;Sector;Method;Algorithm;Dataset;Epoch;Iteration;Step;Sample;Size;Number of items;Percent
Percentage;Percentage (%);Percent of respondents;Share of respondents;Share of total (%);% of total;Number of people;Number of responses
Number of employees;Frequency;Count;Density;Value;Amount;Total;Price;Price ($);Cost;Cost ($);Sales;Sales ($);Revenue ($);Units sold;Score;Rating
In percent;In millions;In thousands;Millions;Thousands;Millions of dollars;Billions of dollars;Thousands of units;Million tonnes;Index
""".strip().replace("\n", ";").split(";")
# What is counted on with numbers, "Week 1", or with letters, "Model A".
NUMBERED = "Week Week Week Day Group Stage Phase Step Level Round Trial Test Grade Year Lap Hour Unit Lesson".split()
LETTERED = (
    "Model Product Group Team Class Store Region Plant Brand Option Type Item Company Site Section Category"
).split()
# The words that titles of both splits may use, beside months, units and the words of questions.
COMMON = """
a about above actual adults after age aged all amount among an and annual are area as at average based before below between billion billions by
capita category cent change chart class college comparison cost costs country current daily data day days degree department did distribution
during each estimated every expected few first for forecast from fund global group groups growth high highest hour hours how in income index
index international is it its kind large largest last least less level levels line low lowest main major many market maximum mean median million
millions minimum model month monthly more most much national new no number of old on once one online open or other others our over overall own
part past people per percent percentage period plan point points population price prices product products profit projected quarter quarterly rate
rates region results revenue sales score sector series several share shares shown since size small source sources state states status store
survey than the their these thousand thousands time times to top total trend trends two type types under unit units until up use used user users
value values very volume vs week weekly were what when where which who with without world worldwide year years yearly yes north south east west
northern southern eastern western central not don't know at same some both a few of by reported spending usage budget three four five six seven
eight nine ten second third half full half-year fiscal calendar key facts overview summary report statistics figures breakdown
comparison analysis ranking rank list quantity variable legend key name inc ltd corp llc evolution development outlook history dashboard snapshot review
us usa uk eu oecd gdp usd eur co2 aqi cpu gpu it hr kg km mm cm mwh gwh twh kwh mw gw ppm
""".split()
